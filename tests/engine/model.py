"""Writes tiny language models for llama.cpp: the architecture of Llama, random weights (GGUF).

    model.write(path, model.FAST)

They compute as real ones do, each layer and each token; only what they say means nothing. Their
end token is hardly ever drawn, so max_tokens decides how long an answer is. The vocabulary holds
syllables and, for all other text, single characters and bytes: any text can be tokenized.
"""
import collections
import os
import random
import struct

Shape = collections.namedtuple("Shape", "width layers heads hidden context")
# Two "GPU types": about 1,500 and 300 tokens/s of one core, 7 and 57 MB.
FAST = Shape(width=256, layers=4, heads=4, hidden=704, context=32768)
SLOW = Shape(width=576, layers=8, heads=9, hidden=1536, context=32768)
VOCABULARY = 2048
SPECIAL = 3 + 256  # control tokens and bytes
UNKNOWN, BEGIN, END = 0, 1, 2
# The token that begins the call of a tool. No answer does so by itself: where a tool is required, this
# bias makes it, the grammar of the tools does the rest, and the answer ends as soon as it may.
CALL_TOKEN = VOCABULARY - 1
CALL_BIAS = {str(CALL_TOKEN): 50, str(END): 100}
# Calls of tools as Hermes and Qwen write them, which llama.cpp derives its parser and grammar from.
CALL = "<tool_call>\n{"
TEMPLATE = """\
{%- if tools %}
    {{- '<|im_start|>system\\nTools:' }}
    {%- for tool in tools %}
        {{- '\\n' + tool | tojson }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role }}
    {%- if message.content %}
        {{- '\\n' + message.content }}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
        {{- call.function.arguments | tojson + '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

# GGUF's numbers for types of values, tensors and tokens
U32, F32, STRING, ARRAY, I32 = 4, 6, 8, 9, 5
TENSOR_F32, TENSOR_F16 = 0, 1
NORMAL, UNKNOWN_TOKEN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6
ALIGNMENT = 32
POOL = 1 << 16  # random numbers that all weights are taken from


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def array(kind, values):
    head = struct.pack("<IQ", kind, len(values))
    if kind == STRING:
        return head + b"".join(map(text, values))
    return head + struct.pack(f"<{len(values)}{'f' if kind == F32 else 'i'}", *values)


def vocabulary():
    """Tokens, scores (the higher is taken first) and types."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    types = [UNKNOWN_TOKEN, CONTROL, CONTROL] + [BYTE] * 256
    characters = [chr(c) for c in range(33, 127)] + ["\n", "\u2581"]
    starts = "b d f g h k l m n p r s t v z".split()
    syllables = [a + v + c for c in ("", "n", "r", "s") for a in starts for v in "aeiou"]
    # A token is made of two others, one after the other: "\u2581" and "ba" first.
    words = [f"\u2581{a}" for a in syllables] + [f"\u2581{a}{b}" for a in syllables for b in syllables]
    tokens += characters + syllables
    tokens += words[:CALL_TOKEN - len(tokens)] + [CALL]
    types += [NORMAL] * (CALL_TOKEN - SPECIAL) + [USER]
    scores = [0.0] * SPECIAL + [-1e4 - i for i in range(len(characters))]
    scores += [-float(VOCABULARY - i) for i in range(VOCABULARY - len(scores))]
    return tokens, scores, types


def metadata(shape):
    tokens, scores, types = vocabulary()
    llama = {"context_length": shape.context, "embedding_length": shape.width,
             "block_count": shape.layers, "feed_forward_length": shape.hidden,
             "attention.head_count": shape.heads, "attention.head_count_kv": shape.heads,
             "rope.dimension_count": shape.width // shape.heads, "vocab_size": VOCABULARY}
    tokenizer = {"bos_token_id": BEGIN, "eos_token_id": END, "unknown_token_id": UNKNOWN}
    pairs = [("general.architecture", STRING, text("llama")),
             ("general.name", STRING, text("random")),
             ("general.file_type", U32, struct.pack("<I", 1)),
             ("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
             ("tokenizer.ggml.model", STRING, text("llama")),
             ("tokenizer.ggml.tokens", ARRAY, array(STRING, tokens)),
             ("tokenizer.ggml.scores", ARRAY, array(F32, scores)),
             ("tokenizer.ggml.token_type", ARRAY, array(I32, types)),
             ("tokenizer.chat_template", STRING, text(TEMPLATE))]
    pairs += [(f"llama.{k}", U32, struct.pack("<I", v)) for k, v in llama.items()]
    pairs += [(f"tokenizer.ggml.{k}", U32, struct.pack("<I", v)) for k, v in tokenizer.items()]
    return pairs


def tensors(shape):
    """Names and dimensions; the norms are vectors."""
    width, hidden = shape.width, shape.hidden
    yield "token_embd.weight", (width, VOCABULARY)
    yield "output_norm.weight", (width,)
    yield "output.weight", (width, VOCABULARY)
    for i in range(shape.layers):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{i}.{name}.weight", (width,)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{i}.{name}.weight", (width, width)
        for name in ("ffn_gate", "ffn_up"):
            yield f"blk.{i}.{name}.weight", (width, hidden)
        yield f"blk.{i}.ffn_down.weight", (hidden, width)


class Weights:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.pool = struct.pack(f"<{POOL}e", *(self.rng.gauss(0, 0.06) for _ in range(POOL)))

    def row(self, n):
        start = 2 * self.rng.randrange(POOL - n)
        return self.pool[start:start + 2 * n]

    def of(self, name, dims):
        if len(dims) == 1:
            return struct.pack(f"<{dims[0]}f", *[1.0] * dims[0])
        rows = [self.row(dims[0]) for _ in range(dims[1])]
        if name == "output.weight":  # the logit of these is 0: hardly ever drawn
            for token in (*range(SPECIAL), CALL_TOKEN):
                rows[token] = bytes(2 * dims[0])
        return b"".join(rows)


def padded(data):
    return data + bytes(-len(data) % ALIGNMENT)


def write(path, shape, seed=1):
    """A new file, or none: it is renamed when it is whole."""
    pairs, weights = metadata(shape), Weights(seed)
    described, data, offset = [], [], 0
    for name, dims in tensors(shape):
        kind = TENSOR_F32 if len(dims) == 1 else TENSOR_F16
        described.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset))
        data.append(padded(weights.of(name, dims)))
        offset += len(data[-1])
    head = b"GGUF" + struct.pack("<IQQ", 3, len(described), len(pairs))
    head += b"".join(text(k) + struct.pack("<I", kind) + value for k, kind, value in pairs)
    new = f"{path}.{os.getpid()}"
    with open(new, "wb") as f:
        f.write(padded(head + b"".join(described)))
        f.writelines(data)
    os.replace(new, path)
