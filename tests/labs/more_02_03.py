"""Labs 02 and 03: answers that differ from the solution and are right, and more that are wrong.

Each is the lab, the step, what is said of it if it is wrong, and what to replace in the solution.
"""

LOOP = """        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        model.loss(ids, targets).backward()
        optimizer.step()
"""
RATE = 'optimizer.param_groups[0]["lr"] = rate'
MADE = "torch.optim.AdamW(trained, weight_decay=0.0)"
SCORED = "return right / len(rows)"
IMPORTED = "from matplotlib.figure import Figure"
FULL = 'axes.axhline(100 * full[what], color="gray", linestyle="--", label="full fine-tuning")'
LOG = 'axes.set_xscale("log", base=2)'
LINE = "return F.linear(x, weight, self.bias)"
BIAS = "None if linear.bias is None else linear.bias.detach()"
FRESH = "return wrap_minigpt_with_lora(quantize_model(copy.deepcopy(base)), rank, alpha)"
NO_NEWLINE = ('encode("\\n" + row["prompt"] + form', 'encode(row["prompt"] + form')
UNCLOSED = ('forms = [closed(row, row["form"])', 'forms = [row["form"]')
FAIR = {
    "a tensor for the share": ("02", 3, SCORED, "return torch.tensor(right / len(rows))"),
    "a copy prepared": (
        "02",
        5,
        "model.requires_grad_(rank",
        "model = copy.deepcopy(model).requires_grad_(rank",
    ),
    "cleared afterwards": (
        "02",
        6,
        LOOP,
        LOOP.replace("        optimizer.zero_grad()\n", "") + "        model.zero_grad()\n",
    ),
    "gradients of zero": ("02", 6, "zero_grad()", "zero_grad(set_to_none=False)"),
    "Adam, which decays nothing": ("02", 6, MADE, "torch.optim.Adam(trained)"),
    "a loop over tensors": ("02", 6, "weight_decay=0.0", "weight_decay=0.0, foreach=False"),
    "frozen ones handed over": (
        "02",
        6,
        MADE,
        "torch.optim.AdamW(model.parameters(), 1.0, weight_decay=0)",
    ),
    "the loss by hand": (
        "02",
        6,
        "model.loss(ids, targets)",
        "F.cross_entropy(model(ids).transpose(1, 2), targets, ignore_index=IGNORE)",
    ),
    "a line at the same ranks": ("02", "picture", FULL, "axes.plot(ranks, [100 * full[what]] * 3)"),
    "axline": ("02", "picture", FULL, "axes.axline((1, 100 * full[what]), (2, 100 * full[what]))"),
    "axline by its slope": (
        "02",
        "picture",
        FULL,
        "axes.axline((4, 100 * full[what]), slope=0)",
        LOG,
        "axes.semilogx()",
    ),
    "hlines": (
        "02",
        "picture",
        FULL,
        "axes.hlines(100 * full[what], 1, 16)",
        LOG,
        "axes.semilogx()",
    ),
    "fractions written as percent": (
        "02",
        "picture",
        "[100 * row[what]",
        "[row[what]",
        "100 * full",
        "full",
        LOG,
        f"{LOG}\n        axes.yaxis.set_major_formatter(PercentFormatter(1))",
        IMPORTED,
        f"{IMPORTED}\nfrom matplotlib.ticker import PercentFormatter",
    ),
    "one label for both": ("02", "picture", 'axes.set_xlabel("rank")', 'figure.supxlabel("rank")'),
    "einsum": (
        "03",
        4,
        LINE,
        "bias = 0 if self.bias is None else self.bias\n"
        '        return torch.einsum("...i,oi->...o", x, weight) + bias',
    ),
    "a matrix product": (
        "03",
        4,
        LINE,
        "return x @ weight.T + (0 if self.bias is None else self.bias)",
    ),
    "a copy of the bias": ("03", 4, "linear.bias.detach())", "linear.bias.detach().clone())"),
    "blocks one after the other": (
        "03",
        2,
        "blocks = weight.reshape(-1, BLOCK)\n",
        "pairs = [quantize_block(block) for block in weight.reshape(-1, BLOCK)]\n"
        "    return torch.cat([c for c, _ in pairs]), torch.stack([m for _, m in pairs])\n",
    ),
    "a model in 4 bits on a copy": (
        "03",
        5,
        "for block in model.blocks:",
        "model = copy.deepcopy(model)\n    for block in model.blocks:",
    ),
}
FOUL = {
    "no row right": ("02", 3, "the accuracy on random words is 0;", SCORED, "return 0.0"),
    "all rows right": ("02", 3, "the accuracy on random words is 1;", SCORED, "return 1.0"),
    "nothing closed": (
        "02",
        3,
        "closing symbol forgotten",
        'closed(row, row["form"]))\n        rivals',
        'row["form"])\n        rivals',
        "(closed(row, form) for form",
        "(form for form",
    ),
    "no newline, and narrower": (
        "02",
        1,
        "newline in front forgotten",
        *NO_NEWLINE,
        "for row, form in zip(rows, forms, strict=True))\n    ids",
        "for row, form in zip(rows, forms, strict=True)) - 1\n    ids",
    ),
    "not closed, and narrower": ("02", 1, "closing symbol forgotten", *UNCLOSED),
    "targets as floats": (
        "02",
        1,
        "targets are torch.float32, not int64",
        "return ids, targets",
        "return ids, targets.float()",
    ),
    "no newline": (
        "02",
        2,
        "newline in front forgotten",
        'encode("\\n" + prompt + form',
        "encode(prompt + form",
        "each[len(prompt) :]",
        "each[len(prompt) - 1 :]",
    ),
    "the end scored and not counted": (
        "02",
        4,
        "end of the sentence forgotten",
        "sum(len(text) + 1 for text in texts))",
        "sum(map(len, texts)))",
    ),
    "drift in percent": (
        "02",
        4,
        "percent and not share",
        "return after / before - 1",
        "return 100 * (after / before - 1)",
    ),
    "an adapter returned, not the whole": (
        "02",
        5,
        "model not returned",
        "ALPHA)\n    return model",
        "ALPHA)\n        return model",
    ),
    "B alone trained": (
        "02",
        5,
        "adapter frozen",
        "rank, ALPHA)\n    return model",
        "rank, ALPHA)\n        block.attn.q_proj.lora_A.requires_grad_(False)\n    return model",
    ),
    "the first rate for all": (
        "02",
        6,
        "rates not used",
        RATE,
        'optimizer.param_groups[0]["lr"] = rates[0]',
    ),
    "the rate set too late": (
        "02",
        6,
        "rates not used",
        LOOP,
        LOOP.replace(f"        {RATE}\n", "") + f"        {RATE}\n",
    ),
    "all defaults": ("02", 6, "rates not used", RATE, "pass", MADE, "torch.optim.AdamW(trained)"),
    "frozen ones alone": (
        "02",
        6,
        "nothing is trained",
        "if p.requires_grad]",
        "if not p.requires_grad]",
    ),
    "accuracy as a fraction": (
        "02",
        "picture",
        "percent forgotten",
        "[100 * row[what]",
        "[(100 if what == 'drift' else 1) * row[what]",
    ),
    "full fine-tuning as a fraction": (
        "02",
        "picture",
        "full fine-tuning at another height",
        "axhline(100 * full",
        "axhline(full",
    ),
    "one plot for both": (
        "02",
        "picture",
        "a plot is missing",
        "figure.subplots(1, 2)",
        "2 * [figure.subplots()]",
    ),
    "codes as int64": (
        "03",
        1,
        "the codes are torch.int64, not uint8",
        "argmin(dim=1).to(torch.uint8)",
        "argmin(dim=1)",
    ),
    "unpacked as int64": (
        "03",
        3,
        "the codes again are torch.int64, not uint8",
        "dim=1).flatten()\n    # end",
        "dim=1).flatten().long()\n    # end",
    ),
    "absmax in a column": (
        "03",
        2,
        "absmax has the shape (12, 1), not (12,)",
        "distances.argmin(dim=2).to(torch.uint8).flatten(), absmax",
        "distances.argmin(dim=2).to(torch.uint8).flatten(), absmax[:, None]",
    ),
    "absmax in the graph": (
        "03",
        4,
        "float copy kept",
        "quantize(linear.weight.detach())",
        "quantize(linear.weight)",
    ),
    "bias in the graph": ("03", 4, "float copy kept", BIAS, "linear.bias"),
    "a float Linear inside": (
        "03",
        4,
        "float copy kept",
        'self.register_buffer("absmax", absmax)',
        'self.register_buffer("absmax", absmax)\n        self.linear = linear',
    ),
    "codes as a Parameter": (
        "03",
        4,
        "not a buffer",
        'self.register_buffer("packed", pack(codes))',
        "self.packed = nn.Parameter(pack(codes), requires_grad=False)",
    ),
    "x cut off, bias in the graph": (
        "03",
        4,
        "no gradient passes",
        "F.linear(x, weight",
        "F.linear(x.detach() + 0 * x.detach().requires_grad_(), weight",
    ),
    "alpha is the rank": (
        "03",
        "on NF4",
        "rank and alpha mixed up",
        "wrap_minigpt_with_lora(model, rank, alpha)",
        "wrap_minigpt_with_lora(model, rank, rank)",
    ),
    "the base itself in 4 bits": (
        "03",
        "on NF4",
        "base changed",
        "quantize_model(copy.deepcopy(base)), rank",
        "quantize_model(base), rank",
    ),
    "no 4 bits": (
        "03",
        "on NF4",
        "Linear left in floats",
        "model = quantize_model(copy.deepcopy(base))",
        "model = copy.deepcopy(base)",
    ),
    "nothing wrapped": (
        "03",
        "on NF4",
        "adapter left out",
        FRESH,
        "return quantize_model(copy.deepcopy(base))",
    ),
}
