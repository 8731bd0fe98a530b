"""For each mistake that a check names: what to replace in the solution to make it."""

INIT_A = "self.lora_A = nn.Parameter(torch.empty(r, base.in_features))"
INIT_B = "self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))"
OUTPUT = "y + self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)"
PERPLEXITY = "return math.exp(nats / sum(len(text) + 1 for text in texts))"
MEANS = "each = [-log_probability(model, '', text + '\\n') / (len(text) + 1) for text in texts]"
MASK = "targets[i, n - len(form) : n] = symbols[1 + n - len(form) :]"
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
    "02": {
        "loss over the prompt": (
            MASK,
            "targets[i, :n] = symbols[1:]",
        ),
        "mask one too early": (
            MASK,
            "targets[i, n - len(form) - 1 : n] = symbols[n - len(form) :]",
        ),
        "mask one too late": (
            MASK,
            "targets[i, n - len(form) + 1 : n] = symbols[2 + n - len(form) :]",
        ),
        "closing symbol forgotten": (
            "= symbols[1 + n - len(form) :]",
            "= symbols[1 + n - len(form) :]\n        targets[i, n - 1] = IGNORE",
        ),
        "targets not shifted": ("symbols[1 + n - len(form) :]", "symbols[n - len(form) : -1]"),
        "padding learnt": (
            "= symbols[1 + n - len(form) :]",
            "= symbols[1 + n - len(form) :]\n        targets[i, n:] = 0",
        ),
        "prompt counted too": ("each[len(prompt) :].sum()", "each.sum()"),
        "positions off by one": (
            "model(symbols[None, :-1])[0], dim=-1)",
            "model(symbols[None])[0, 1:], dim=-1)",
        ),
        "mean and not sum": ("each[len(prompt) :].sum()", "each[len(prompt) :].mean()"),
        "logits and not log-probabilities": (
            "F.log_softmax(model(symbols[None, :-1])[0], dim=-1)",
            "model(symbols[None, :-1])[0]",
        ),
        "one rival is enough": ("right += all(", "right += any("),
        "mean of the sentences' perplexities": (
            PERPLEXITY,
            f"{MEANS}\n    return sum(map(math.exp, each)) / len(each)",
        ),
        "mean of the sentences' means": (
            PERPLEXITY,
            f"{MEANS}\n    return math.exp(sum(each) / len(each))",
        ),
        "no exponential": ("return math.exp(nats /", "return (nats /"),
        "end of the sentence forgotten": (
            'text + "\\n") for text in texts)\n'
            "    return math.exp(nats / sum(len(text) + 1 for text in texts))",
            "text) for text in texts)\n    return math.exp(nats / sum(map(len, texts)))",
        ),
        "difference and not ratio": ("return after / before - 1", "return after - before"),
        "ratio without the one": ("return after / before - 1", "return after / before"),
        "upside down": ("return after / before - 1", "return before / after - 1"),
        "base not frozen": ("model.requires_grad_(rank is None)", "pass"),
        "adapter frozen": (
            "rank, ALPHA)\n    return model",
            "rank, ALPHA)\n        model.requires_grad_(False)\n    return model",
        ),
        "wrong Linears": (
            "v_proj = LoRALinear(block.attn.v_proj",
            "k_proj = LoRALinear(block.attn.k_proj",
        ),
        "alpha grows with the rank": ("rank, ALPHA)", "rank, 2.0 * rank)"),
        "full fine-tuning frozen": (
            "model.requires_grad_(rank is None)",
            "model.requires_grad_(False)",
        ),
        "gradients never cleared": ("optimizer.zero_grad()", "pass"),
        "nothing is trained": ("optimizer.step()", "pass"),
        "rates not used": ('optimizer.param_groups[0]["lr"] = rate', "pass"),
        "full fine-tuning at the adapters' rate": (
            "return 0.001 if rank is not None else 0.0001",
            "return 0.001",
        ),
        "bars missed": ("STEPS, WARMUP, BATCH = 100, 20, 32", "STEPS, WARMUP, BATCH = 1, 1, 2"),
        "axes not labelled": ('axes.set_xlabel("rank")', "pass"),
    },
    "03": {
        "maximum without magnitude": ("absmax = block.abs().max()", "absmax = block.max()"),
        "weights not divided": ("(block[:, None] / absmax - CODE)", "(block[:, None] - CODE)"),
        "code below and not nearest": (
            "return distances.argmin(dim=1).to(torch.uint8), absmax",
            "codes = torch.bucketize(block / absmax, CODE, right=True) - 1\n"
            "    return codes.to(torch.uint8), absmax",
        ),
        "codes off by one": (
            "distances.argmin(dim=1).to(torch.uint8), absmax",
            "(distances.argmin(dim=1) + 1).to(torch.uint8), absmax",
        ),
        "evenly spaced values": (
            "return distances.argmin(dim=1).to(torch.uint8), absmax",
            "return ((block / absmax * 7).round() + 7).to(torch.uint8), absmax",
        ),
        "absmax forgotten": ("return CODE[codes.int()] * absmax", "return CODE[codes.int()]"),
        "absmax per row": ("blocks = weight.reshape(-1, BLOCK)", "blocks = weight"),
        "one absmax for all": (
            "absmax = blocks.abs().amax(dim=1)\n"
            "    distances = (blocks[:, :, None] / absmax[:, None, None]",
            "absmax = blocks.abs().max()\n    distances = (blocks[:, :, None] / absmax",
        ),
        "blocks down the columns": ("weight.reshape(-1, BLOCK)", "weight.T.reshape(-1, BLOCK)"),
        "a byte a code": ("return codes[0::2] << 4 | codes[1::2]", "return codes"),
        "low half first": (
            "return codes[0::2] << 4 | codes[1::2]",
            "return codes[1::2] << 4 | codes[0::2]",
        ),
        "codes not shifted": ("codes[0::2] << 4 | codes[1::2]", "codes[0::2] | codes[1::2]"),
        "bias left out": ("F.linear(x, weight, self.bias)", "F.linear(x, weight)"),
        "weight not quantized": (
            'self.register_buffer("absmax", absmax)',
            'self.register_buffer("absmax", absmax)\n        self.plain = linear',
            "return F.linear(x, weight, self.bias)",
            "return self.plain(x)",
        ),
        "weight transposed": (
            "return F.linear(x, weight, self.bias)",
            "y = x @ weight.reshape(shape[1], shape[0])\n"
            "        return y if self.bias is None else y + self.bias",
        ),
        "no gradient passes": (
            "return F.linear(x, weight, self.bias)",
            "return F.linear(x.detach(), weight, self.bias)",
        ),
        "float copy kept": (
            'self.register_buffer("absmax", absmax)',
            'self.register_buffer("absmax", absmax)\n        self.kept = linear.weight.detach()',
        ),
        "base not frozen": ("return model.requires_grad_(False)", "return model"),
        "Linear left in floats": (
            "for owner in (block.attn, block.mlp):",
            "for owner in (block.attn,):",
        ),
        "buffers forgotten": (
            "sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])",
            "sum(tensor.nbytes for tensor in model.parameters())",
        ),
        "numbers and not bytes": ("sum(tensor.nbytes", "sum(tensor.numel()"),
        "adapter left out": (
            "return load_lora_state_dict(model, lora_state_dict(trained))",
            "return model",
        ),
        "mean without magnitude": ("- other(ids)).abs().mean()", "- other(ids)).mean()"),
        "bars missed": ('"steps": 100', '"steps": 1'),
    },
}
