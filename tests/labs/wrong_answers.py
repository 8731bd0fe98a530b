"""For each mistake that a check names: what to replace in the solution to make it."""

from tests.labs import answers_00, answers_01

PERPLEXITY = "return math.exp(nats / sum(len(text) + 1 for text in texts))"
MEANS = "each = [-log_probability(model, '', text + '\\n') / (len(text) + 1) for text in texts]"
MASK = "targets[i, n - len(form) : n] = symbols[1 + n - len(form) :]"
WRONG = {
    "00": answers_00.WRONG,
    "01": answers_01.WRONG,
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
