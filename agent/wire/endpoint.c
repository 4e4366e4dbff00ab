/* The last segment tells most paths apart, so rows are compared from their end and the first that
 * fits counts: of two rows with the same end the longer stands first. */
#include "wire/endpoint.h"

#include <string.h>

#include "wire/rd.h"

enum {
	CHAT = 1,
	MEDIA = 2,
	SHORT = 4,
	STREAM = 8,
	STREAMS = 16, /* unless the body says no */
	BULKY = 32,
};

/* vLLM and OpenAI: /v1/completions answers 16 tokens unless told otherwise. */
#define SHORT_MAX 16

#define G ENDPOINT_GENERATE
#define R ENDPOINT_READ
#define I ENDPOINT_IDLE
#define U ENDPOINT_UNKNOWN

/* A star is one segment, whatever it is. */
static const struct row {
	struct slice tail;
	enum endpoint_kind kind;
	unsigned flags;
} rows[] = {
	/* No work, although it ends as if there were. */
	{ SLICE("key/generate"), I, 0 }, /* LiteLLM */
	{ SLICE("internal/encode"), I, 0 },
	{ SLICE("internal/decode"), I, 0 },
	{ SLICE("token/encode"), I, 0 },            /* TabbyAPI */
	{ SLICE("count-tokens:rawPredict"), I, 0 }, /* Anthropic on Vertex */
	/* Answers. */
	{ SLICE("chat/completions"), G, CHAT },
	{ SLICE("chat/completions/batch"), G, CHAT },
	{ SLICE("agents/completions"), G, CHAT }, /* Mistral */
	{ SLICE("fim/completions"), G, 0 },
	{ SLICE("completions"), G, SHORT },
	{ SLICE("threads/*/messages"), I, 0 },
	{ SLICE("messages"), G, CHAT },
	{ SLICE("responses"), G, CHAT },
	{ SLICE("responses/compact"), G, CHAT },
	{ SLICE("api/generate"), G, STREAMS | BULKY }, /* Ollama */
	{ SLICE("generate"), G, 0 },
	{ SLICE("generate_stream"), G, STREAM },
	{ SLICE("generate/stream"), G, STREAM }, /* KoboldAI */
	{ SLICE("vertex_generate"), G, 0 },
	{ SLICE("complete"), G, 0 },       /* Anthropic's old one */
	{ SLICE("completion"), G, BULKY }, /* llama.cpp */
	{ SLICE("infill"), G, BULKY },
	{ SLICE("api/chat"), G, CHAT | STREAMS },
	{ SLICE("v1/chat"), G, CHAT }, /* Cohere */
	{ SLICE("v2/chat"), G, CHAT },
	{ SLICE("text/chat"), G, CHAT }, /* watsonx */
	{ SLICE("text/chat_stream"), G, CHAT | STREAM },
	{ SLICE("text/generation"), G, 0 },
	{ SLICE("text/generation_stream"), G, STREAM },
	{ SLICE("chat/interactive"), G, CHAT },        /* LMDeploy */
	{ SLICE("interactions"), G, CHAT },            /* Gemini */
	{ SLICE("conversations/*/restart"), G, CHAT }, /* Mistral */
	{ SLICE("edits"), G, MEDIA },
	{ SLICE("threads/runs"), G, MEDIA }, /* what it reads lies on the server */
	{ SLICE("threads/*/runs"), G, MEDIA },
	{ SLICE("audio/transcriptions"), G, MEDIA },
	{ SLICE("audio/translations"), G, MEDIA },
	{ SLICE("audio/speech"), G, MEDIA },
	{ SLICE("images/generations"), G, MEDIA },
	{ SLICE("images/edits"), G, MEDIA },
	{ SLICE("images/variations"), G, MEDIA },
	{ SLICE("videos"), G, MEDIA },
	{ SLICE("videos/*/remix"), G, MEDIA },
	{ SLICE("models/*/infer"), G, MEDIA }, /* KServe, Triton: tensors, of an LLM perhaps */
	{ SLICE("models/*/versions/*/infer"), G, MEDIA },
	{ SLICE("*:generateContent"), G, CHAT }, /* Gemini; of models, tunedModels, endpoints */
	{ SLICE("*:streamGenerateContent"), G, CHAT | STREAM },
	{ SLICE("model/*/converse"), G, CHAT }, /* Bedrock */
	{ SLICE("model/*/converse-stream"), G, CHAT | STREAM },
	{ SLICE("model/*/invoke-with-response-stream"), G, STREAM },
	{ SLICE("ocr"), G, MEDIA },         /* Mistral */
	{ SLICE("predictions"), G, MEDIA }, /* Cog */
	{ SLICE("txt2img"), G, MEDIA },
	{ SLICE("img2img"), G, MEDIA },
	/* Nothing but prompts. */
	{ SLICE("embeddings"), R, 0 },
	{ SLICE("embeddings/multimodal"), R, 0 },
	{ SLICE("embedding"), R, 0 },
	{ SLICE("embed"), R, 0 },
	{ SLICE("embed_all"), R, 0 },
	{ SLICE("embed_sparse"), R, 0 },
	{ SLICE("encode"), R, 0 },
	{ SLICE("rerank"), R, 0 },
	{ SLICE("reranking"), R, 0 },
	{ SLICE("score"), R, 0 },
	{ SLICE("generative_scoring"), R, 0 },
	{ SLICE("classify"), R, 0 },
	{ SLICE("pooling"), R, 0 },
	{ SLICE("similarity"), R, 0 },
	{ SLICE("predict"), R, 0 }, /* TEI */
	{ SLICE("moderations"), R, 0 },
	{ SLICE("classifications"), R, 0 },      /* Mistral */
	{ SLICE("ranking"), R, 0 },              /* NVIDIA NIM */
	{ SLICE("multimodalembeddings"), R, 0 }, /* Voyage */
	{ SLICE("contextualizedembeddings"), R, 0 },
	{ SLICE("internal/logits"), R, 0 },
	{ SLICE("models/*:predict"), R, 0 }, /* KServe's first protocol */
	{ SLICE("*:embedContent"), R, 0 },
	{ SLICE("*:batchEmbedContents"), R, 0 },
	/* No work. */
	{ SLICE("messages/count_tokens"), I, 0 },
	{ SLICE("count_tokens"), I, 0 },
	{ SLICE("responses/input_tokens"), I, 0 },
	{ SLICE("input_tokens"), I, 0 },
	{ SLICE("responses/*/cancel"), I, 0 },
	{ SLICE("completions/render"), I, 0 },
	{ SLICE("render"), I, 0 },
	{ SLICE("derender"), I, 0 },
	{ SLICE("tokenize"), I, 0 },
	{ SLICE("tokenization"), I, 0 },
	{ SLICE("detokenize"), I, 0 },
	{ SLICE("chat_tokenize"), I, 0 },
	{ SLICE("apply-template"), I, 0 },
	{ SLICE("decode"), I, 0 },
	{ SLICE("parse_function_call"), I, 0 },
	{ SLICE("separate_reasoning"), I, 0 },
	{ SLICE("load_lora_adapter"), I, 0 },
	{ SLICE("unload_lora_adapter"), I, 0 },
	{ SLICE("lora-adapters"), I, 0 },
	{ SLICE("*:countTokens"), I, 0 },
	{ SLICE("*:computeTokens"), I, 0 },
	{ SLICE("*:batchGenerateContent"), I, 0 },
	{ SLICE("cachedContents"), I, 0 },
	{ SLICE("tokenize/count"), I, 0 },
	{ SLICE("tokenize-text"), I, 0 },
	{ SLICE("tokencount"), I, 0 },
	{ SLICE("token_count"), I, 0 },
	{ SLICE("token-count"), I, 0 },
	{ SLICE("token_counter"), I, 0 },
	{ SLICE("count-tokens"), I, 0 },
	{ SLICE("models"), I, 0 },
	{ SLICE("models/load"), I, 0 },
	{ SLICE("models/unload"), I, 0 },
	{ SLICE("models/*/load"), I, 0 },
	{ SLICE("models/*/unload"), I, 0 },
	{ SLICE("repository/index"), I, 0 },
	{ SLICE("files"), I, 0 },
	{ SLICE("files/*"), I, 0 },
	{ SLICE("uploads"), I, 0 },
	{ SLICE("uploads/*/parts"), I, 0 },
	{ SLICE("uploads/*/complete"), I, 0 },
	{ SLICE("uploads/*/cancel"), I, 0 },
	{ SLICE("batches"), I, 0 },
	{ SLICE("batches/*"), I, 0 },
	{ SLICE("batches/*/cancel"), I, 0 },
	{ SLICE("fine_tuning/jobs"), I, 0 },
	{ SLICE("jobs/*/cancel"), I, 0 },
	{ SLICE("assistants"), I, 0 },
	{ SLICE("threads"), I, 0 },
	{ SLICE("runs/*/cancel"), I, 0 },
	{ SLICE("conversations/*/items"), I, 0 },
	{ SLICE("vector_stores"), I, 0 },
	{ SLICE("vector_stores/*"), I, 0 },
	{ SLICE("vector_stores/*/search"), I, 0 },
	{ SLICE("realtime/sessions"), I, 0 },
	{ SLICE("realtime/client_secrets"), I, 0 },
	{ SLICE("cancel"), I, 0 },
	{ SLICE("abort"), I, 0 },
	{ SLICE("abort_request"), I, 0 },
	{ SLICE("abort_requests"), I, 0 },
	{ SLICE("health"), I, 0 },
	{ SLICE("health_generate"), I, 0 },
	{ SLICE("healthz"), I, 0 },
	{ SLICE("ready"), I, 0 },
	{ SLICE("live"), I, 0 },
	{ SLICE("ping"), I, 0 },
	{ SLICE("metrics"), I, 0 },
	{ SLICE("version"), I, 0 },
	{ SLICE("info"), I, 0 },
	{ SLICE("props"), I, 0 },
	{ SLICE("slots"), I, 0 },
	{ SLICE("slots/*"), I, 0 },
	{ SLICE("reset_prefix_cache"), I, 0 },
	{ SLICE("reset_mm_cache"), I, 0 },
	{ SLICE("flush_cache"), I, 0 },
	{ SLICE("sleep"), I, 0 },
	{ SLICE("wake_up"), I, 0 },
	{ SLICE("pause"), I, 0 },
	{ SLICE("pause_generation"), I, 0 },
	{ SLICE("resume"), I, 0 },
	{ SLICE("continue_generation"), I, 0 },
	{ SLICE("start_profile"), I, 0 },
	{ SLICE("stop_profile"), I, 0 },
	{ SLICE("collective_rpc"), I, 0 },
	{ SLICE("scale_elastic_ep"), I, 0 },
	{ SLICE("update_weights_from_disk"), I, 0 },
	{ SLICE("release_memory_occupation"), I, 0 },
	{ SLICE("resume_memory_occupation"), I, 0 },
	{ SLICE("open_session"), I, 0 },
	{ SLICE("close_session"), I, 0 },
	{ SLICE("configure_logging"), I, 0 },
	{ SLICE("api/show"), I, 0 },
	{ SLICE("api/pull"), I, 0 },
	{ SLICE("api/push"), I, 0 },
	{ SLICE("api/create"), I, 0 },
	{ SLICE("api/copy"), I, 0 },
	/* Whatever the body is: what follows such a name is a stored answer, or a new kind of work.
	 */
	{ SLICE("responses/*"), U, 0 },
	{ SLICE("chat/completions/*"), U, 0 },
	{ SLICE("models/*"), U, 0 },
	/* Mistral's answer at once; OpenAI's only keep what they are given. */
	{ SLICE("conversations"), U, CHAT },
	{ SLICE("conversations/*"), U, CHAT },
	{ SLICE("invocations"), U, 0 }, /* SageMaker */
	{ SLICE("vertex"), U, 0 },      /* TGI */
};

#undef G
#undef R
#undef I
#undef U

/* Without its query, and without slashes at its end. */
static struct slice trim(struct slice path)
{
	static const char ends[] = "?#";

	for (size_t i = 0; i < 2 && path.len > 0; i++) {
		const uint8_t *end = memchr(path.p, ends[i], path.len);

		if (end)
			path.len = (size_t)(end - path.p);
	}
	while (path.len > 0 && path.p[path.len - 1] == '/')
		path.len--;
	return path;
}

/* As ends_with(), byte for byte: so most paths are written. */
static bool ends_plainly(struct slice path, struct slice tail)
{
	size_t at = path.len - tail.len;

	return path.len >= tail.len && memcmp(path.p + at, tail.p, tail.len) == 0 &&
	       (at == 0 || path.p[at - 1] == '/');
}

/* Whether path ends with the segments of tail. */
static bool ends_with(struct slice path, struct slice tail)
{
	size_t at = path.len;

	if (ends_plainly(path, tail))
		return true;

	for (size_t i = tail.len; i-- > 0;) {
		uint8_t want = tail.p[i];

		if (at == 0)
			return false;
		if (want == '*') {
			size_t end = at;

			while (at > 0 && path.p[at - 1] != '/')
				at--;
			if (at == end)
				return false;
			continue;
		}
		if (path.p[--at] != want)
			return false;
		while (want == '/' && at > 0 && path.p[at - 1] == '/')
			at--;
	}
	return at == 0 || path.p[at - 1] == '/';
}

/* NAME of NAME:verb. */
static struct slice before_verb(struct slice model)
{
	size_t len = model.len;

	while (len > 0 && model.p[len - 1] != ':')
		len--;
	return len > 0 ? (struct slice){ .p = model.p, .len = len - 1 } : model;
}

/* The last segment that follows one which names a collection of models. */
struct slice endpoint_model(struct slice path)
{
	static const struct slice before[] = {
		SLICE("models"),
		SLICE("model"),
		SLICE("deployments"),
		SLICE("engines"),
		SLICE("endpoints"),
		SLICE("predictions"),
		SLICE("serving-endpoints"),
	};
	struct slice last = { .p = NULL, .len = 0 }, got = last;
	size_t start = 0;

	path = trim(path);
	for (size_t i = 0; path.p && i <= path.len; i++) {
		struct slice segment = { .p = path.p + start, .len = i - start };

		if (i < path.len && path.p[i] != '/')
			continue;
		start = i + 1;
		if (segment.len == 0)
			continue;
		for (size_t k = 0; k < sizeof(before) / sizeof(before[0]); k++) {
			if (last.p && slice_same(last, before[k]))
				got = i == path.len ? before_verb(segment) : segment;
		}
		last = segment;
	}
	return got;
}

/* Whether HAProxy may have cut it. */
static bool is_cut(struct slice path)
{
	return path.len >= ENDPOINT_PATH_MAX;
}

/* Whether an engine, or a proxy before it, may read the path as another one: it has %XX, a
 * parameter behind a semicolon, a backslash or a dot segment, or is cut. */
static bool is_disguised(struct slice path)
{
	struct slice bare = trim(path);
	size_t start = 0;

	if (is_cut(path) || memchr(path.p, '%', bare.len) || memchr(path.p, ';', bare.len) ||
	    memchr(path.p, '\\', bare.len))
		return true;
	for (size_t i = 0; i <= path.len; i++) {
		size_t len = i - start;

		if (i < path.len && path.p[i] != '/')
			continue;
		if ((len == 1 || len == 2) && memcmp(path.p + start, "..", len) == 0)
			return true;
		start = i + 1;
	}
	return false;
}

struct endpoint endpoint_of(struct slice path)
{
	struct endpoint e = { .kind = ENDPOINT_UNKNOWN, .default_max = -1 };
	struct slice bare = trim(path);

	if (!path.p) {
		e.kind = ENDPOINT_GENERATE;
		return e;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!ends_with(bare, rows[i].tail))
			continue;
		if (rows[i].kind == ENDPOINT_IDLE ? is_disguised(path)
		                                  : rows[i].kind == ENDPOINT_READ && is_cut(path))
			break;
		e.kind = rows[i].kind;
		e.chat = (rows[i].flags & CHAT) != 0;
		e.media = (rows[i].flags & MEDIA) != 0;
		e.stream = (rows[i].flags & STREAM) != 0;
		e.streams = (rows[i].flags & STREAMS) != 0;
		e.bulky = (rows[i].flags & BULKY) != 0;
		if (rows[i].flags & SHORT)
			e.default_max = SHORT_MAX;
		break;
	}
	return e;
}
