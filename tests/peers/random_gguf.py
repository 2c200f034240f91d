"""Writes a GGUF file with random f16 weights in the shape of a Hugging Face configuration.

    python random_gguf.py '{"model_type": "llama", ...}' OUT.gguf

Runs in the virtual environment that build.py makes, as it needs `gguf` and `numpy`; llama-quantize makes the other formats of it.
Tensors are drawn and written one by one, so that memory holds one of them. The tokenizer knows
bytes and names of ids.
"""

import json
import sys

import gguf
import numpy

DEVIATION = 0.02
NORM_EPS = 1e-5
ROPE_THETA = 10000.0


def tensors(config):
    """Name and shape of every tensor; vectors stay f32, as llama.cpp's converter has them."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head_dim = config.get("head_dim", hidden // config["num_attention_heads"])
    queries = head_dim * config["num_attention_heads"]
    keys = head_dim * config["num_key_value_heads"]
    yield "token_embd.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        block = f"blk.{layer}"
        yield f"{block}.attn_norm.weight", (hidden,)
        for name, rows in ("attn_q", queries), ("attn_k", keys), ("attn_v", keys):
            yield f"{block}.{name}.weight", (rows, hidden)
            if config["model_type"] == "qwen2":
                yield f"{block}.{name}.bias", (rows,)
        yield f"{block}.attn_output.weight", (hidden, queries)
        yield f"{block}.ffn_norm.weight", (hidden,)
        yield f"{block}.ffn_gate.weight", (inner, hidden)
        yield f"{block}.ffn_up.weight", (inner, hidden)
        yield f"{block}.ffn_down.weight", (hidden, inner)
    yield "output_norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "output.weight", (config["vocab_size"], hidden)


def values(name, shape, random):
    if name.endswith("norm.weight"):
        return numpy.ones(shape, dtype=numpy.float32)
    drawn = random.standard_normal(shape, dtype=numpy.float32)
    drawn *= DEVIATION
    return drawn if len(shape) == 1 else drawn.astype(numpy.float16)


def describe(writer, config):
    heads = config["num_attention_heads"]
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config.get("head_dim", config["hidden_size"] // heads))
    writer.add_rope_freq_base(config.get("rope_theta", ROPE_THETA))
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", NORM_EPS))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += [f"t{index}" for index in range(len(tokens), config["vocab_size"])]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * (len(tokens) - len(kinds)))


def write(config, path):
    writer = gguf.GGUFWriter(path, config["model_type"])
    describe(writer, config)
    for name, shape in tensors(config):
        dtype = numpy.dtype(numpy.float32 if len(shape) == 1 else numpy.float16)
        size = int(numpy.prod(shape)) * dtype.itemsize
        writer.add_tensor_info(name, shape, dtype, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = numpy.random.Generator(numpy.random.SFC64(0))
    for name, shape in tensors(config):
        writer.write_tensor_data(values(name, shape, random))
    writer.close()


if __name__ == "__main__":
    write(json.loads(sys.argv[1]), sys.argv[2])
