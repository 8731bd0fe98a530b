"""Answers to lab 00: what to replace in the solution for a wrong one, or for another right one."""

INIT_A = "self.lora_A = nn.Parameter(torch.empty(r, base.in_features))"
INIT_B = "self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))"
OUTPUT = "y + self.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)"
FORWARD = (
    f"y = self.base(x)\n        if self.merged:\n            return y\n        return {OUTPUT}"
)
FILL_A = "nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)"
MERGE = "self.base.weight += self.delta_weight()"
WRONG = {
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
    "A uninitialised": (FILL_A, "pass"),
    "A out of size": (FILL_A, "nn.init.normal_(self.lora_A, std=1e4)"),
    "A not random": (FILL_A, "nn.init.constant_(self.lora_A, 0.01)"),
    "B random": (INIT_B, INIT_B.replace("zeros", "randn")),
    "alpha without 1/r": ("self.scaling = alpha / r", "self.scaling = alpha"),
    "r over alpha": ("self.scaling = alpha / r", "self.scaling = r / alpha"),
    "no scaling": (OUTPUT, OUTPUT.replace("self.scaling * ", "")),
    "scaling applied twice": (OUTPUT, OUTPUT.replace("y +", "y + self.scaling *")),
    "base scaled too": (
        FORWARD,
        FORWARD.replace(OUTPUT, f"self.scaling * ({OUTPUT[:4]}{OUTPUT[19:]})"),
    ),
    "rows alone": (OUTPUT, "y + self.scaling * (self.lora_B @ (self.lora_A @ x.T)).T"),
    "x detached from the update": (OUTPUT, OUTPUT.replace("F.linear(x,", "F.linear(x.detach(),")),
    "x detached from the base": ("y = self.base(x)", "y = self.base(x.detach())"),
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
    "merging unfreezes W": (
        MERGE,
        "self.base.weight = nn.Parameter(self.base.weight + self.delta_weight())",
    ),
    "merging twice adds twice": ("if not self.merged:", "if True:"),
    "merging twice takes the update out": (
        "if not self.merged:\n            self.base.weight += self.delta_weight()\n"
        "            self.merged = True",
        "sign = -1 if self.merged else 1\n"
        "        self.base.weight += sign * self.delta_weight()\n"
        "        self.merged = not self.merged",
    ),
}
# Other wrong answers of a mistake that has a name.
ALSO_WRONG = [
    ("A uninitialised", (INIT_A, INIT_A.replace("torch.empty(", "torch.Tensor("), FILL_A, "pass")),
    ("A out of size", (FILL_A, "nn.init.uniform_(self.lora_A, -1e-9, 1e-9)")),
    ("A not random", (FILL_A, "torch.manual_seed(0); nn.init.normal_(self.lora_A)")),
    ("A not random", (FILL_A, "self.lora_A.data = torch.randn(1, base.in_features).repeat(r, 1)")),
    (
        "rows alone",
        (OUTPUT, "y + self.scaling * torch.einsum('ni,ri,or->no', x, self.lora_A, self.lora_B)"),
    ),
    ("rows alone", (f"return {OUTPUT}", f"return ({OUTPUT}).reshape(-1, y.shape[-1])")),
    ("A and B swapped", (OUTPUT, "y + self.scaling * x @ self.lora_B @ self.lora_A")),
    ("base scaled too", (OUTPUT, f"self.scaling * y + {OUTPUT[4:]}")),
    ("base left out", (OUTPUT, OUTPUT.replace("y + ", "0 * y + "))),
    (
        "bias left out",
        (
            "if self.merged:\n            return y",
            "if self.merged:\n            return F.linear(x, self.base.weight)",
        ),
    ),
    ("merging unfreezes W", (MERGE, f"{MERGE}\n            self.base.requires_grad_(True)")),
    (
        "merging unfreezes W",
        (
            MERGE,
            "old = self.base\n"
            "            self.base = nn.Linear(old.in_features, old.out_features)\n"
            "            self.base.weight.copy_(old.weight + self.delta_weight())\n"
            "            self.base.bias.copy_(old.bias)",
        ),
    ),
]
RIGHT = [
    (FILL_A, "nn.init.normal_(self.lora_A, std=0.02)"),
    (FILL_A, "nn.init.normal_(self.lora_A)"),
    (FILL_A, "nn.init.orthogonal_(self.lora_A)"),
    (FILL_A, "nn.init.xavier_uniform_(self.lora_A)"),
    (f"{INIT_A}\n", f"{INIT_A.replace('torch.empty', '1e-4 * torch.randn')}\n", FILL_A, "pass"),
    (INIT_A, "self.lora_A = nn.Parameter(torch.rand(r, base.in_features) - 0.5)", FILL_A, "pass"),
    (
        INIT_A,
        "self.lora_A = nn.Parameter(nn.Linear(base.in_features, r).weight.data)",
        FILL_A,
        "pass",
    ),
    (OUTPUT, "y + F.linear(x, self.delta_weight())"),
    (OUTPUT, "y + (x @ self.lora_A.T) @ self.lora_B.T * self.scaling"),
    (OUTPUT, "y + self.scaling * torch.einsum('...i,ri,or->...o', x, self.lora_A, self.lora_B)"),
    (MERGE, "self.base.weight.data = self.base.weight + self.delta_weight()"),
    (
        MERGE,
        "W = self.base.weight + self.delta_weight()\n"
        "            self.base.weight = nn.Parameter(W, requires_grad=False)",
    ),
]
