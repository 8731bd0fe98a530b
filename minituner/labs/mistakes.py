"""What learners get wrong, by name, and what each mistake means; in `docs/teaching.md` as well."""

MISTAKES = {
    "00": {
        "base not frozen": "a parameter of the base asks for a gradient, so training would change "
        "W too; call base.requires_grad_(False)",
        "no parameter": "lora_A or lora_B is no nn.Parameter, so no optimizer would find it",
        "A and B swapped": "A has r rows, (r, in), and B r columns, (out, r), and x meets A first",
        "A transposed": "lora_A has the shape (in, r); it must be (r, in), as F.linear wants it",
        "A zero": "A and B are both zero, so both gradients are zero and nothing is ever learnt",
        "A uninitialised": "torch.empty only makes room, and lora_A holds what lay there; fill it "
        "with small random numbers",
        "A out of size": "lora_A must start with small numbers, as a Linear's own weight does",
        "A not random": "lora_A must start random: its rows are multiples of one another, and then "
        "all r do the work of one, or its numbers are the same in every layer",
        "B random": "lora_B must start at zero, or a fresh layer changes what the model says",
        "alpha without 1/r": "the update is scaled by α; it must be α/r",
        "r over alpha": "the update is scaled by r/α; it must be α/r",
        "no scaling": "B A is added as it is; multiply it by α/r",
        "scaling applied twice": "the update is scaled by (α/r)²; multiply by α/r once",
        "base scaled too": "α/r multiplies the base's output as well; scale the update alone",
        "rows alone": "x is (…, in), so a single vector, rows, and rows of rows must do; x @ A.T "
        "and F.linear(x, A) take them all, and A @ x.T does not",
        "x detached from the update": "the gradient must reach x through the update as well: the "
        "layers below learn from it",
        "x detached from the base": "the gradient must reach x through the base as well: W is "
        "frozen, but what lies below it may learn",
        "base left out": "the output is the update alone; add what the base gives",
        "bias left out": "the base's bias is missing; call self.base(x)",
        "gradient without scaling": "the factor α/r is missing; it is part of y and so of its "
        "gradients",
        "gradients in the wrong order": "return ∂L/∂A first and then ∂L/∂B",
        "gradient averaged over rows": "add the rows' gradients up; G holds any 1/N already",
        "merge adds twice": "after merge_ the layer gives W x + 2 ΔW x: the weight holds the "
        "update, and forward adds it again",
        "merge without scaling": "the weight got B A and not (α/r) B A",
        "update lost by merging": "after merge_ the layer gives W x: forward leaves the update "
        "out, but the weight has not got it",
        "merging unfreezes W": "after merge_ a parameter of the base asks for a gradient, as a new "
        "nn.Parameter does; add to the weight in place, or freeze it again",
        "merging twice adds twice": "a second call of merge_ added the update again; remember that "
        "it is in",
        "merging twice takes the update out": "a second call of merge_ must change nothing",
    },
    "01": {
        "count looked up": "`config.parameters` is the answer; write the formula yourself",
        "count by a model": "count by a formula, before any model is there",
        "biases forgotten": "fc1 and fc2 have a bias each, of f and of d numbers",
        "biases of attention": "q_proj, k_proj, v_proj and o_proj have no bias",
        "head counted twice": "the head is the embedding of the symbols, the same tensor; count it "
        "once",
        "positions forgotten": "each of the `context` positions has an embedding of d numbers",
        "norms forgotten": "each block has two LayerNorms, each with a weight and a bias of d "
        "numbers, and one more stands behind the last block",
        "norms without bias": "a LayerNorm has a weight and a bias, 2 d numbers, and so a block's "
        "two have 4 d",
        "last norm forgotten": "there is one more LayerNorm behind the last block",
        "one block only": "multiply by n_layer: every block has its own",
        "in times out": "B A is never stored: A has r · in numbers and B r · out, so r (in + out)",
        "MLP as narrow as attention": "fc1 goes from d to f and fc2 back, so d + f and not 2 d",
        "A alone": "B has numbers as well: r (in + out), and not r · in",
        "scales forgotten": "each block of 64 has its absmax, 4 bytes",
        "a byte a code": "two codes share a byte",
        "rounded down": "round up: a shorter last block has an absmax too, and the last code of an "
        "odd number takes a whole byte",
        "not rounded": "a byte or a block that is begun counts whole: round each up to a whole "
        "number, before anything is added",
        "blocksize ignored": "the blocks are of `blocksize` weights, which need not be 64",
        "scales in 16 bits": "absmax is a float32, 4 bytes",
        "numbers and not bytes": "a float32 has 4 bytes; multiply",
        "optimizer for frozen weights": "AdamW keeps moments of what is trained, of nothing else",
        "gradients for frozen weights": "a frozen weight gets no gradient",
        "one moment": "AdamW keeps two moments for each trained number, 8 bytes",
        "adapter's weights forgotten": "A and B are weights in memory, too",
        "everything in 4 bits": "embeddings, norms and biases stay in float32; only the Linears' "
        "weights are quantized",
        "adapter in 4 bits": "A and B are trained, and stay in float32",
        "nothing in 4 bits": "QLoRA holds the weights of the blocks' Linears in NF4",
        "Linears quantized as one": "each Linear's weight is quantized by itself, and its last "
        "block may be a short one; call nf4_bytes for each",
        "frozen layer keeps its input": "a frozen weight's gradient is never computed, so nothing "
        "is kept for it",
        "A x forgotten": "B's gradient needs A x, r numbers a row",
        "x forgotten": "a weight's gradient needs what the weight was multiplied with: W's and A's "
        "need x, `in` numbers a row",
        "weight counted": "the weight is held anyway; count what is kept besides",
        "output kept": "no gradient of this layer reads its output",
        "buffers forgotten": "the codes and scales of NF4 are buffers; add model.buffers()",
        "step counters counted": "leave AdamW's step counters out; take exp_avg and exp_avg_sq",
    },
    "02": {
        "loss over the prompt": "the prompt's targets must be IGNORE; the form alone is taught",
        "mask one too early": "the last symbol of the prompt is a target; begin with the form's "
        "first",
        "mask one too late": "the form's first symbol is no target; the mask is off by one",
        "closing symbol forgotten": "the character behind the form belongs to it: without it *go* "
        "is the beginning of *goed*",
        "targets not shifted": "target t must be the symbol behind ids[t], not ids[t] itself",
        "padding learnt": "targets behind the end must be IGNORE, not 0",
        "newline in front forgotten": "a sentence begins with \\n, and so does what the model "
        "reads: encode it in front of the prompt",
        "sentence not cut off": "ids and targets end where the form is closed; what follows is "
        "cut off",
        "prompt counted too": "add up the form's symbols alone; the prompt is given",
        "positions off by one": "the logits at position t are about the symbol at t + 1",
        "mean and not sum": "add the symbols' log-probabilities up; do not divide by their number",
        "logits and not log-probabilities": "apply log_softmax over the vocabulary first",
        "right form not closed": "close the right form as well as the alternatives",
        "alternatives not closed": "close the alternatives as well as the right form: bare ones "
        "are shorter and likelier",
        "rivals averaged": "the right form must be likelier than the likeliest alternative, not "
        "than their mean",
        "percent and not share": "a share is a number from 0 to 1; do not multiply by 100",
        "one rival is enough": "the right form must be likelier than every alternative, not than "
        "one",
        "mean of the sentences' perplexities": "take one mean over all symbols, then exp: a mean "
        "of exps lets hard sentences rule",
        "mean of the sentences' means": "a long sentence has more symbols and must count for more",
        "no exponential": "a perplexity is exp of the mean, in nats",
        "end of the sentence forgotten": "the \\n that ends a sentence is a symbol, too, that the "
        "model predicts",
        "difference and not ratio": "the drift is a share of the perplexity before tuning: "
        "after / before − 1",
        "ratio without the one": "no change is a drift of 0: subtract 1",
        "upside down": "divide the perplexity after tuning by that before, not the other way round",
        "model not returned": "prepare works in place and returns the model, in both cases",
        "another layer's Linear": "each LoRALinear takes the Linear in whose place it stands, or a "
        "fresh adapter changes what the model says",
        "base not frozen": "a parameter of the base asks for a gradient; freeze all, then wrap",
        "adapter frozen": "no parameter asks for a gradient: freeze before wrapping, not after",
        "wrong Linears": "LoRALinear must stand in place of q_proj and v_proj of each block, and "
        "of no other",
        "alpha grows with the rank": "α is the same for every rank; else a sweep over ranks is one "
        "over rates",
        "full fine-tuning frozen": "for rank None every parameter is trained",
        "gradients never cleared": "call optimizer.zero_grad() in each step, or gradients pile up",
        "nothing is trained": "no parameter has moved; is optimizer.step() called, and has it got "
        "the trained parameters?",
        "loss never goes backward": "no gradient is computed; call backward() on the loss",
        "gradients cleared before the step": "zero_grad() between backward() and step() leaves "
        "nothing to step by; clear, go backward, then step",
        "weight decay left on": "AdamW's default shrinks the weights; say weight_decay=0.0",
        "an optimizer a step": "make one optimizer before the loop: each new one forgets the "
        "moments",
        "another optimizer": "this is plain gradient descent; take torch.optim.AdamW",
        "last batch left out": "take a step for every batch, the last one too",
        "rates not used": "set the optimizer's lr to each step's rate, before the step",
        "rate changes with the rank": "α/r lets one rate serve every rank; a sweep with a rate "
        "for each compares rates and not ranks",
        "adapters' rate below full fine-tuning's": "adapters take the higher rate, for instance "
        "0.001, and full fine-tuning a tenth of it",
        "full fine-tuning at the adapters' rate": "moving every weight at such a rate forgets "
        "many times as much, and compares rates instead of methods; give it a tenth",
        "full fine-tuning learns nothing": "at so low a rate it hardly moves, and keeps all by "
        "learning nothing; raise it",
        "bars missed": "no adapter of the sweep both gains and keeps enough",
        "a plot is missing": "one plot has the accuracy and one the drift",
        "percent forgotten": "draw shares in percent, times 100",
        "ranks not on a logarithmic scale": "ranks double and double: axes.set_xscale('log')",
        "ranks not on the axis": "the line is there, but not over the ranks themselves; plot "
        "against the rank and use axes.set_xscale",
        "full fine-tuning at another height": "its line must be at its own accuracy, or drift",
        "full fine-tuning not drawn": "it has no rank; draw a horizontal line, axes.axhline, in "
        "both plots",
        "axes not labelled": "say on each axis what it shows and in which unit",
    },
    "03": {
        "maximum without magnitude": "absmax is the largest magnitude, block.abs().max(); the "
        "largest weight may be a negative one",
        "weights not divided": "divide by absmax first, so that the quotients lie in −1 … 1",
        "code below and not nearest": "take the nearest value, not the next one below",
        "codes off by one": "codes count from 0 to 15, as CODE's places do",
        "evenly spaced values": "look the nearest value of CODE up; its gaps are not all the same",
        "uint8 taken for a mask": "PyTorch takes a uint8 index for a mask; look values up with "
        "CODE[codes.long()]",
        "absmax forgotten": "multiply the codes' values by absmax",
        "absmax per row": "each block of 64 has an absmax of its own, wherever a row ends",
        "one absmax for all": "each block of 64 has an absmax of its own, or one outlier costs all "
        "weights their precision",
        "blocks down the columns": "read the weight row by row: weight.reshape(-1, 64)",
        "a byte a code": "two codes share a byte, so there are half as many bytes as codes",
        "low half first": "the first code of a pair takes the high half of the byte",
        "codes not shifted": "shift the first code by 4 bits, first << 4, before the second joins",
        "bias left out": "the base's bias is missing; keep it as a buffer and add it",
        "weight not quantized": "the output is the float weight's; make the weight from its codes",
        "weight transposed": "the weight has out_features rows: its shape is (out, in)",
        "no gradient passes": "the output does not depend on x for autograd; no_grad or detach "
        "may stand round the weight, not round x",
        "float copy kept": "the layer holds a float weight besides its codes and saves nothing; "
        "make it in forward and drop it",
        "not a buffer": "packed codes, absmax and bias are buffers, self.register_buffer(name, "
        "tensor): a Parameter is trained, and a plain attribute does not move with the module",
        "base not frozen": "of what was there before the adapter, nothing may ask for a gradient",
        "another layer's Linear": "each NF4Linear is made of the Linear in whose place it stands",
        "Linear left in floats": "all six Linears of every block belong in NF4",
        "buffers forgotten": "the codes and scales of NF4 are buffers; add model.buffers()",
        "numbers and not bytes": "add up nbytes: a float has 4 bytes, a pair of codes one",
        "bars missed": "the adapter trained on 4 bits does not both gain and keep enough",
        "adapter left out": "wrap the quantized model with LoRA; in step 6 copy the numbers of A "
        "and B as well",
        "adapter frozen": "A and B of every layer must ask for a gradient: freeze before wrapping",
        "base changed": "the models that are given stay as they are; work on copy.deepcopy(base)",
        "numbers shared": "the two models hold the same tensors, so training one would change the "
        "other; copy the numbers",
        "wrapped before quantizing": "quantize first, then wrap: an NF4Linear takes a Linear's "
        "place, and LoRA stands on it",
        "rank and alpha mixed up": "hand both on in the order of the parameters: rank, then alpha",
        "mean without magnitude": "take the mean of the absolute differences, or they cancel",
    },
}
