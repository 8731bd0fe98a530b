"""Wrong answers of the labs that tune a model, 02 and 03; what to replace in the solution."""

PERPLEXITY = "return math.exp(nats / sum(len(text) + 1 for text in texts))"
MEANS = "each = [-log_probability(model, '', text + '\\n') / (len(text) + 1) for text in texts]"
MASK = "targets[i, n - len(form) : n] = symbols[1 + n - len(form) :]"
WRONG = {
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
        "newline in front forgotten": (
            'torch.tensor(encode("\\n" + row["prompt"]',
            'torch.tensor(encode(row["prompt"]',
        ),
        "sentence not cut off": (
            'max(len(row["prompt"] + form) for',
            'max(1 + len(row["text"]) for',
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
        "right form not closed": (
            'closed(row, row["form"]))\n        rivals',
            'row["form"])\n        rivals',
        ),
        "alternatives not closed": (
            '(closed(row, form) for form in row["alt',
            '(form for form in row["alt',
        ),
        "rivals averaged": (
            'rivals = (closed(row, form) for form in row["alternatives"])\n',
            'rivals = [closed(row, form) for form in row["alternatives"]]\n',
            'all(logp > log_probability(model, row["prompt"], rival) for rival in rivals)',
            'logp > sum(log_probability(model, row["prompt"], r) for r in rivals) / len(rivals)',
        ),
        "percent and not share": ("return right / len(rows)", "return 100 * right / len(rows)"),
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
        "model not returned": (
            "rank, ALPHA)\n    return model",
            "rank, ALPHA)",
        ),
        "another layer's Linear": (
            "v_proj = LoRALinear(block.attn.v_proj",
            "v_proj = LoRALinear(block.attn.k_proj",
        ),
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
        "loss never goes backward": (".backward()", ""),
        "gradients cleared before the step": (
            "backward()\n",
            "backward()\n        optimizer.zero_grad()\n",
        ),
        "weight decay left on": ("(trained, weight_decay=0.0)", "(trained)"),
        "an optimizer a step": (
            'optimizer.param_groups[0]["lr"] = rate',
            "optimizer = torch.optim.AdamW(trained, rate, weight_decay=0.0)",
        ),
        "another optimizer": ("torch.optim.AdamW(", "torch.optim.SGD("),
        "last batch left out": (
            "zip(batches, rates, strict=True)",
            "zip(batches[:-1], rates, strict=False)",
        ),
        "rates not used": ('optimizer.param_groups[0]["lr"] = rate', "pass"),
        "rate changes with the rank": ("return 0.001 if", "return 0.001 / rank if"),
        "adapters' rate below full fine-tuning's": ("return 0.001 if", "return 0.00001 if"),
        "full fine-tuning learns nothing": ("is not None else 0.0001", "is not None else 1e-7"),
        "full fine-tuning at the adapters' rate": (
            "return 0.001 if rank is not None else 0.0001",
            "return 0.001",
        ),
        "bars missed": ("return 0.001 if", "return 0.00011 if"),
        "a plot is missing": ('("accuracy", "drift"), strict', '("accuracy", "accuracy"), strict'),
        "percent forgotten": ("[100 * row[what]", "[row[what]"),
        "ranks not on a logarithmic scale": ('axes.set_xscale("log", base=2)', "pass"),
        "ranks not on the axis": (
            "axes.plot(ranks,",
            "axes.plot([0, 1, 2][: len(ranks)],",
        ),
        "full fine-tuning at another height": (
            "axes.axhline(100 * full[what]",
            "axes.axhline(50.0",
        ),
        "full fine-tuning not drawn": ("axes.axhline(", "(lambda *_, **__: None)("),
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
        "uint8 taken for a mask": ("CODE[codes.long()]", "CODE[codes]"),
        "absmax forgotten": ("return CODE[codes.long()] * absmax", "return CODE[codes.int()]"),
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
        "not a buffer": (
            'self.register_buffer("packed", pack(codes))',
            "self.packed = pack(codes)",
        ),
        "another layer's Linear": (
            "NF4Linear(layer))",
            'NF4Linear(owner.v_proj if name == "k_proj" else layer))',
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
        "adapter frozen": (
            "(quantize_model(copy.deepcopy(base)), rank, alpha)",
            "(quantize_model(copy.deepcopy(base)), rank, alpha).requires_grad_(False)",
        ),
        "numbers shared": (
            "return load_lora_state_dict(model, lora_state_dict(trained))",
            "from minituner.lora import lora_layers\n"
            "    for name, layer in lora_layers(model).items():\n"
            "        own = lora_layers(trained)[name]\n"
            "        layer.lora_A, layer.lora_B = own.lora_A, own.lora_B\n"
            "    return model",
        ),
        "base changed": (
            "model = quantize_model(copy.deepcopy(base))",
            "model = quantize_model(base)",
        ),
        "wrapped before quantizing": (
            "wrap_minigpt_with_lora(quantize_model(copy.deepcopy(base)), rank, alpha)",
            "quantize_model(wrap_minigpt_with_lora(copy.deepcopy(base), rank, alpha))",
        ),
        "rank and alpha mixed up": (
            "(quantize_model(copy.deepcopy(base)), rank, alpha)",
            "(quantize_model(copy.deepcopy(base)), alpha, rank)",
        ),
        "mean without magnitude": ("- other(ids)).abs().mean()", "- other(ids)).mean()"),
        "bars missed": ('"steps": 100', '"steps": 1'),
    },
}
