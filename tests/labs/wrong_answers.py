"""For each mistake that a check names: what to replace in the solution to make it."""

from tests.labs.wrong_tunings import WRONG_TUNINGS

INIT_A = "self.lora_A = nn.Parameter(torch.empty(r, base.in_features))"
INIT_B = "self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))"
OUTPUT = "y + self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)"
WRONG = {
    "00": {
        "base not frozen": ("base.requires_grad_(False)", "pass"),
        "no parameter": (INIT_B, INIT_B.replace("nn.Parameter(", "(")),
        "A and B swapped": (
            f"{INIT_A}\n        {INIT_B}",
            "self.lora_A = nn.Parameter(torch.empty(base.out_features, r))\n"
            "        self.lora_B = nn.Parameter(torch.zeros(r, base.in_features))",
        ),
        "A transposed": (INIT_A, INIT_A.replace("r, base.in_features", "base.in_features, r")),
        "A zero": (
            "nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)",
            "nn.init.zeros_(self.lora_A)",
        ),
        "B random": (INIT_B, INIT_B.replace("zeros", "randn")),
        "alpha without 1/r": ("self.scaling = alpha / r", "self.scaling = alpha"),
        "r over alpha": ("self.scaling = alpha / r", "self.scaling = r / alpha"),
        "no scaling": (OUTPUT, OUTPUT.replace("self.scaling * ", "")),
        "scaling applied twice": (OUTPUT, OUTPUT.replace("y +", "y + self.scaling *")),
        "base left out": (OUTPUT, OUTPUT.replace("y + ", "")),
        "bias left out": ("y = self.base(x)", "y = F.linear(x, self.base.weight)"),
        "gradient without scaling": (
            "return layer.scaling * layer.lora_B.T @ full",
            "return layer.lora_B.T @ full",
        ),
        "gradients in the wrong order": (
            "return layer.scaling * layer.lora_B.T @ full, layer.scaling * full @ layer.lora_A.T",
            "return layer.scaling * full @ layer.lora_A.T, layer.scaling * layer.lora_B.T @ full",
        ),
        "gradient averaged over rows": ("full = G.T @ x", "full = G.T @ x / len(x)"),
        "merge adds twice": ("if self.merged:\n            return y", "pass"),
        "merge without scaling": (
            "self.base.weight += self.delta_weight()",
            "self.base.weight += self.lora_B @ self.lora_A",
        ),
        "update lost by merging": ("self.base.weight += self.delta_weight()", "pass"),
        "merging twice adds twice": ("if not self.merged:", "if True:"),
    },
    "01": {
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
        "last block forgotten": (
            "blocks = -(-n // blocksize)\n    return -(-n // 2)",
            "blocks = n // blocksize\n    return n // 2",
        ),
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
    },
    **WRONG_TUNINGS,
}
