"""Answers to lab 01: what to replace in the solution for a wrong one, or for another right one."""

COUNT = "return embeddings + config.n_layer * block + 2 * d"
CODES = "return -(-n // 2) +"
BYTES = "return -(-n // 2) + FLOAT * blocks"
EACH = "for n in 4 * [d * d] + 2 * [d * f]:"
KEPT = 'return FLOAT * rows * (into + (rank if method == "lora" else 0))'
WRONG = {
    "count looked up": (COUNT, "return config.parameters"),
    "count by a model": (COUNT, "return sum(p.numel() for p in MiniGPT(config).parameters())"),
    "biases of attention": ("block = 4 * d * d", "block = 4 * (d * d + d)"),
    "biases forgotten": ("mlp = d * f + f + f * d + d", "mlp = d * f + f * d"),
    "head counted twice": ("config.vocab_size * d +", "2 * config.vocab_size * d +"),
    "positions forgotten": (" + config.context * d", ""),
    "norms forgotten": (
        "block = 4 * d * d + mlp + 2 * 2 * d\n"
        "    return embeddings + config.n_layer * block + 2 * d",
        "block = 4 * d * d + mlp\n    return embeddings + config.n_layer * block",
    ),
    "norms without bias": (
        "mlp + 2 * 2 * d\n    return embeddings + config.n_layer * block + 2 * d",
        "mlp + 2 * d\n    return embeddings + config.n_layer * block + d",
    ),
    "last norm forgotten": ("config.n_layer * block + 2 * d", "config.n_layer * block"),
    "one block only": ("config.n_layer * block", "block"),
    "in times out": (
        "rank * both_sides[name] for",
        "(d * f if name in ('fc1', 'fc2') else d * d) for",
    ),
    "MLP as narrow as attention": ('d + f if name in ("fc1", "fc2") else 2 * d', "2 * d"),
    "A alone": (
        "rank * both_sides[name] for",
        "rank * (f if name == 'fc2' else d) for",
    ),
    "scales forgotten": (" + FLOAT * blocks", ""),
    "a byte a code": ("return -(-n // 2) +", "return n +"),
    "rounded down": (
        "blocks = -(-n // blocksize)\n    return -(-n // 2)",
        "blocks = n // blocksize\n    return n // 2",
    ),
    "not rounded": (BYTES, "return n * (4 + 32 / blocksize) / 8"),
    "blocksize ignored": ("-(-n // blocksize)", "-(-n // 64)"),
    "scales in 16 bits": ("FLOAT * blocks", "2 * blocks"),
    "numbers and not bytes": ("return FLOAT * rows *", "return rows *"),
    "optimizer for frozen weights": (
        '"optimizer": 2 * FLOAT * trained',
        '"optimizer": 2 * FLOAT * (P + adapter)',
    ),
    "gradients for frozen weights": (
        '"gradients": FLOAT * trained',
        '"gradients": FLOAT * (P + adapter)',
    ),
    "one moment": ('"optimizer": 2 * FLOAT', '"optimizer": FLOAT'),
    "adapter's weights forgotten": ("FLOAT * (P + adapter)", "FLOAT * P"),
    "everything in 4 bits": (
        "        d, f = config.d_model, config.d_ff\n"
        "        for n in 4 * [d * d] + 2 * [d * f]:\n"
        "            weights += config.n_layer * (nf4_bytes(n) - FLOAT * n)",
        "        weights = nf4_bytes(P) + FLOAT * adapter",
    ),
    "adapter in 4 bits": (
        '    if method == "qlora":',
        '    if method == "qlora":\n        weights += nf4_bytes(adapter) - FLOAT * adapter',
    ),
    "nothing in 4 bits": ('if method == "qlora":', "if False:"),
    "Linears quantized as one": (
        "            weights += config.n_layer * (nf4_bytes(n) - FLOAT * n)",
        "            pass\n"
        "        n = config.n_layer * (4 * d * d + 2 * d * f)\n"
        "        weights += nf4_bytes(n) - FLOAT * n",
    ),
    "x forgotten": (KEPT, KEPT.replace("(into + (", "((into if method == 'full' else 0) + (")),
    "weight counted": (
        f'if method == "frozen":\n        return 0\n    {KEPT}',
        f"W = FLOAT * into * out\n    if method == 'frozen':\n        return W\n    {KEPT} + W",
    ),
    "frozen layer keeps its input": ('if method == "frozen":', "if False:"),
    "A x forgotten": ('(rank if method == "lora" else 0)', "0"),
    "output kept": (
        'into + (rank if method == "lora" else 0)',
        'into + out + (rank if method == "lora" else 0)',
    ),
    "buffers forgotten": (
        "sum(t.nbytes for t in [*model.parameters(), *model.buffers()])",
        "sum(t.nbytes for t in model.parameters())",
    ),
    "step counters counted": (
        'state["exp_avg"].nbytes +',
        'state["step"].nbytes + state["exp_avg"].nbytes +',
    ),
}
# Other wrong answers of a mistake that has a name.
ALSO_WRONG = [
    ("biases forgotten", ("d * f + f + f * d + d", "d * f + f * d + d")),
    ("biases forgotten", ("d * f + f + f * d + d", "d * f + f + f * d")),
    ("norms forgotten", ("mlp + 2 * 2 * d", "mlp")),
    ("norms without bias", ("mlp + 2 * 2 * d", "mlp + 2 * d")),
    ("norms without bias", (COUNT, COUNT.replace("2 * d", "d"))),
    (
        "count by a model",
        (COUNT, "return MiniGPT(ModelConfig(**vars(config))).tok_emb.weight.numel()"),
    ),
    ("rounded down", ("-(-n // blocksize)", "n // blocksize")),
    ("rounded down", ("-(-n // 2)", "n // 2")),
    ("rounded down", (BYTES, "return int(n / 2 + FLOAT * n / blocksize)")),
    ("not rounded", ("-(-n // 2)", "n / 2")),
    ("not rounded", ("-(-n // blocksize)", "n / blocksize")),
    ("not rounded", (BYTES, "return -int(-(n / 2 + FLOAT * n / blocksize) // 1)")),
    ("numbers and not bytes", (BYTES, "return -(-n // 2) + blocks")),
    ("numbers and not bytes", ('"gradients": FLOAT * trained', '"gradients": trained')),
    ("numbers and not bytes", ('"optimizer": 2 * FLOAT', '"optimizer": 2')),
    ("numbers and not bytes", ("p.grad.nbytes", "p.grad.numel()")),
    ("numbers and not bytes", ("sum(t.nbytes for t in [", "sum(t.numel() for t in [")),
    ("gradients for frozen weights", ('FLOAT * trained, "opt', 'FLOAT * P, "opt')),
    (
        "gradients for frozen weights",
        ('trained = P if method == "full" else adapter', "trained = P + adapter"),
    ),
    ("Linears quantized as one", (EACH, "for n in [4 * d * d + 2 * d * f]:")),
    ("everything in 4 bits", (EACH, "weights = nf4_bytes(P + adapter)\n        for n in []:")),
    ("output kept", (KEPT, 'return FLOAT * rows * (into + rank if method == "lora" else out)')),
    (
        "optimizer for frozen weights",
        (
            "for state in optimizer.state.values()",
            "for state in []) + sum(2 * p.nbytes for p in model.parameters()",
        ),
    ),
]
RIGHT = [
    (BYTES, "return (n + 1) // 2 + FLOAT * ((n + blocksize - 1) // blocksize)"),
    (BYTES, "import math\n    return math.ceil(n / 2) + 4 * math.ceil(n / blocksize)"),
    (BYTES, "return float(-(-n // 2) + FLOAT * blocks)"),
    ("sum(t.nbytes for t in [", "sum(t.numel() * t.element_size() for t in ["),
]
