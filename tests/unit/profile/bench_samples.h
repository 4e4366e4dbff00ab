/* bench_samples.h - a file of each format, as its tool documents it, cut to what matters. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

/* 100 requests of 512 + 64 tokens, 4 per second, 2.03 s each. */
#define VLLM_HEAD                                                                          \
	"{\"date\":\"20260101-120000\",\"endpoint_type\":\"openai\",\"backend\":\"vllm\"," \
	"\"label\":null,\"model_id\":\"m\",\"tokenizer_id\":\"m\",\"num_prompts\":100,"    \
	"\"request_rate\":\"inf\",\"burstiness\":1.0,\"max_concurrency\":8,"
#define VLLM_TOTALS                                                                      \
	"\"duration\":25.0,\"completed\":100,\"failed\":0,\"total_input_tokens\":51200," \
	"\"total_output_tokens\":6400,\"request_throughput\":4.0,\"output_throughput\":256.0,"
#define VLLM_TIMES "\"mean_ttft_ms\":140.0,\"mean_tpot_ms\":30.0,\"p99_ttft_ms\":200.0"
#define VLLM       VLLM_HEAD VLLM_TOTALS VLLM_TIMES "}"
#define VLLM_E2E   VLLM_HEAD VLLM_TOTALS VLLM_TIMES ",\"mean_e2el_ms\":2030,\"p99_e2el_ms\":2900}"

/* Two sizes in one run, and a request that failed. */
#define VLLM_DETAILED                                                                            \
	VLLM_HEAD "\"duration\":10.0,\"completed\":3,\"failed\":1,\"total_input_tokens\":1280,"  \
		  "\"total_output_tokens\":10,\"request_throughput\":0.3," VLLM_TIMES ","        \
		  "\"input_lens\":[128,128,1024,9],\"output_lens\":[3,3,4,0],"                   \
		  "\"ttfts\":[0.1,0.2,0.9,0],\"itls\":[[0.05,0.05],[0.1,0.1],[0.1,0.1,0.1],[]]," \
		  "\"errors\":[\"\",\"\",\"\",\"timeout\"]}"

#define SGLANG                                                                                    \
	"{\"backend\":\"sglang\",\"dataset_name\":\"random\",\"request_rate\":4.0,"               \
	"\"max_concurrency\":null,\"duration\":25.0,\"completed\":100,"                           \
	"\"total_input_tokens\":51200,\"total_output_tokens\":6400,\"request_throughput\":4.0,"   \
	"\"mean_e2e_latency_ms\":2030.0,\"median_e2e_latency_ms\":2000.0,\"mean_ttft_ms\":140.0," \
	"\"mean_tpot_ms\":30.0,\"concurrency\":8.1}\n"

#define AIPERF                                                                 \
	"{\"request_throughput\":{\"unit\":\"requests/sec\",\"avg\":4.0},"     \
	"\"request_latency\":{\"unit\":\"ms\",\"avg\":2030.0,\"p99\":2900.0}," \
	"\"request_count\":{\"unit\":\"requests\",\"avg\":100},"               \
	"\"time_to_first_token\":{\"unit\":\"ms\",\"avg\":140.0},"             \
	"\"output_sequence_length\":{\"unit\":\"tokens\",\"avg\":64.0},"       \
	"\"input_sequence_length\":{\"unit\":\"tokens\",\"avg\":512.0}}"

#define AIPERF_ROW(FROM, TO)                                                                    \
	"{\"metadata\":{\"request_start_ns\":" FROM ",\"request_end_ns\":" TO "},\"metrics\":{" \
	"\"input_sequence_length\":{\"value\":512,\"unit\":\"tokens\"},"                        \
	"\"output_sequence_length\":{\"value\":64,\"unit\":\"tokens\"},"                        \
	"\"time_to_first_token\":{\"value\":140,\"unit\":\"ms\"}}}\n"
#define AIPERF_ROWS AIPERF_ROW("1000000000", "3030000000") AIPERF_ROW("1250000000", "3280000000")

#define GUIDE(NAME, MEAN) \
	"\"" NAME "\":{\"successful\":{\"mean\":" MEAN ",\"percentiles\":{\"p99\":" MEAN "}}}"
#define GUIDE_SIZE          GUIDE("prompt_token_count", "512") "," GUIDE("output_token_count", "64")
#define GUIDE_TIME          GUIDE("request_latency", "2.03") "," GUIDE("time_to_first_token_ms", "140")
#define GUIDE_METRICS(RATE) GUIDE("requests_per_second", RATE) "," GUIDE_SIZE "," GUIDE_TIME
#define GUIDE_RUN(RATE)     "{\"metrics\":{" GUIDE_METRICS(RATE) "}}"
#define GUIDELLM            "{\"benchmarks\":[" GUIDE_RUN("4.0") "," GUIDE_RUN("0") "]}"

#define AIBRIX_ROW(RATE, METRIC, MEAN)                                                     \
	"{\"input_tokens\":512,\"output_tokens\":64,\"request_rate\":" RATE ",\"seed\":0," \
	"\"model\":\"m\",\"samples\":100,\"metric\":\"" METRIC "\",\"mean\":" MEAN         \
	",\"P50\":1,\"P99\":2.9}\n"
#define AIBRIX                          \
	AIBRIX_ROW("4", "TPUT", "4.0")  \
	AIBRIX_ROW("4", "TT", "256")    \
	AIBRIX_ROW("4", "E2E", "2.03")  \
	AIBRIX_ROW("4", "TTFT", "0.14") \
	AIBRIX_ROW("4", "TPOT", "0.03")
#define AIBRIX_EMPTY AIBRIX_ROW("8", "TPUT", "NaN") AIBRIX_ROW("8", "E2E", "NaN")

#define PROFILE_HEAD                                                      \
	"{\"gpu\":\"l4\",\"cost\":0.4,\"indexes\":[[64,128],[512,1024]]," \
	"\"slos\":{\"percentile\":99,\"tpat\":0.05},\"created\":1767225600.0,"
#define PROFILE_NAN                                                            \
	PROFILE_HEAD "\"tputs\":[[4,2],[2,0]],\"e2e\":[[2.03,2.5],[4.1,NaN]]," \
		     "\"ttft\":[[0.14,0.3],[0.14,NaN]]}"

#endif
