// The live panel of report.html: MiniGPT with LoRA and NF4 in plain JavaScript, and the form around it.
//
// The models are the workflow's own safetensors files, in the page as base64. The names of tensors and
// the formulas are those of model.py, lora.py and nf4.py; weights are float32, sums are float64.
"use strict";

const BOUNDARY = "\n"; // begins and ends each sentence
const HOPELESS = Math.log(1e-5); // log P of what is shown as 0.0 % whatever follows
const LEAST = 0.01; // words less likely than this in every model are not worth a line of their own

/** A safetensors file in base64 → name → Float32Array or Uint8Array, row by row. */
function readTensors(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const tensors = {};
  for (const [name, { dtype, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const data = bytes.buffer.slice(...data_offsets.map((offset) => start + offset));
    tensors[name] = new { F32: Float32Array, U8: Uint8Array }[dtype](data);
  }
  return tensors;
}

/** The same with each weight in NF4 as float32 again: nf4.dequantize, to the bit. */
function dequantized(tensors) {
  const floats = { ...tensors };
  for (const name of Object.keys(tensors).filter((name) => `${name}.absmax` in tensors)) {
    const part = (ending) => tensors[`${name}.${ending}`];
    const state = JSON.parse(new TextDecoder().decode(part("quant_state.bitsandbytes__nf4")));
    const nested = part("nested_absmax"); // there with double quantization alone
    const scales = Float32Array.from(part("absmax"), (x, i) => {
      if (!nested) return x;
      const block = Math.floor(i / state.nested_blocksize);
      return Math.fround(part("nested_quant_map")[x] * nested[block]) + state.nested_offset;
    });
    const [codes, values] = [tensors[name], part("quant_map")];
    floats[name] = new Float32Array(state.shape[0] * state.shape[1]).map((_, i) => {
      const code = i % 2 ? codes[i >> 1] & 15 : codes[i >> 1] >> 4; // the first in the high nibble
      return values[code] * scales[Math.floor(i / state.blocksize)];
    });
  }
  return floats;
}

/** W x, for W of any number of rows; four sums at a time keep the processor busy. */
function product(W, x) {
  const n = x.length, y = new Float64Array(W.length / n), whole = n - (n % 4);
  for (let row = 0, at = 0; row < y.length; row++, at += n) {
    let a = 0, b = 0, c = 0, d = 0, i = 0;
    for (; i < whole; i += 4) {
      a += W[at + i] * x[i];
      b += W[at + i + 1] * x[i + 1];
      c += W[at + i + 2] * x[i + 2];
      d += W[at + i + 3] * x[i + 3];
    }
    for (; i < n; i++) a += W[at + i] * x[i];
    y[row] = a + b + (c + d);
  }
  return y;
}

/** y + factor · x, in place. */
function add(y, x, factor = 1) {
  for (let i = 0; i < y.length; i++) y[i] += factor * x[i];
  return y;
}

/** x Φ(x), with Φ by a series whose terms are all positive (Abramowitz & Stegun 1964, 26.2.11). */
function gelu(x) {
  const size = Math.abs(x);
  if (size > 7) return x > 0 ? x : 0;
  let term = size, sum = size;
  for (let n = 3; term > 1e-17 * sum; n += 2) sum += term *= (size * size) / n;
  const half = (Math.exp((-size * size) / 2) * sum) / Math.sqrt(2 * Math.PI);
  return x * (0.5 + Math.sign(x) * half);
}

/** log P of each symbol. */
function logSoftmax(logits) {
  const most = Math.max(...logits);
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
  return logits.map((logit) => logit - most - total);
}

/** A model that reads a symbol at a time, and only what it has not just read or answered before. */
class MiniGPT {
  constructor(config, tensors) {
    const { n_layer, context, d_model } = config;
    const memory = () => Array.from({ length: n_layer }, () => new Float64Array(context * d_model));
    Object.assign(this, { config, tensors, vocab: [...config.vocab], keys: memory(), values: memory() });
    this.adapt({}, 0, 0);
  }

  /** Put an adapter's update, times a scale, in place of what was there. */
  adapt(adapter, alpha, scale) {
    if (adapter === this.adapter && scale === this.scale) return;
    Object.assign(this, { adapter, alpha, scale, past: [], known: new Map() });
  }

  /** W x + b + scale · (α/r) B A x, the last where the adapter has this layer. */
  linear(name, x) {
    const y = product(this.tensors[`${name}.weight`], x);
    if (`${name}.bias` in this.tensors) add(y, this.tensors[`${name}.bias`]);
    const [A, B] = ["A", "B"].map((part) => this.adapter[`base_model.model.${name}.lora_${part}.weight`]);
    if (!A || !this.scale) return y;
    const inner = product(A, x);
    return add(y, product(B, inner), (this.scale * this.alpha) / inner.length);
  }

  /** LayerNorm. */
  norm(name, x) {
    const [weight, bias] = [this.tensors[`${name}.weight`], this.tensors[`${name}.bias`]];
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    const deviation = Math.sqrt(variance + 1e-5);
    return x.map((value, i) => ((value - mean) / deviation) * weight[i] + bias[i]);
  }

  /** Each head's mean of the values read so far, by softmax of q · k / √(channels of a head). */
  attend(layer, q) {
    const [keys, values] = [this.keys[layer], this.values[layer]];
    const { n_head, d_model: d } = this.config, y = new Float64Array(d), size = d / n_head;
    for (let from = 0; from < d; from += size) {
      const scores = new Float64Array(this.past.length);
      for (let t = 0; t < scores.length; t++)
        for (let i = from; i < from + size; i++) scores[t] += q[i] * keys[t * d + i];
      const weights = logSoftmax(scores.map((score) => score / Math.sqrt(size))).map(Math.exp);
      for (let t = 0; t < scores.length; t++)
        for (let i = from; i < from + size; i++) y[i] += weights[t] * values[t * d + i];
    }
    return y;
  }

  /** Read one more symbol; the logits of the one behind it. */
  read(id) {
    const { n_layer, d_model: d } = this.config, at = d * (this.past.push(id) - 1);
    const embedding = this.tensors["tok_emb.weight"];
    const x = Float64Array.from(embedding.subarray(d * id, d * (id + 1)));
    add(x, this.tensors["pos_emb.weight"].subarray(at, at + d));
    for (let layer = 0; layer < n_layer; layer++) {
      const block = `blocks.${layer}`;
      const before = this.norm(`${block}.ln1`, x);
      this.keys[layer].set(this.linear(`${block}.attn.k_proj`, before), at);
      this.values[layer].set(this.linear(`${block}.attn.v_proj`, before), at);
      const seen = this.attend(layer, this.linear(`${block}.attn.q_proj`, before));
      add(x, this.linear(`${block}.attn.o_proj`, seen));
      const hidden = this.linear(`${block}.mlp.fc1`, this.norm(`${block}.ln2`, x)).map(gelu);
      add(x, this.linear(`${block}.mlp.fc2`, hidden));
    }
    return product(embedding, this.norm("ln_f", x)); // the tied head
  }

  /** Log P of each symbol behind a text, with the boundary before it. */
  behind(text) {
    if (!this.known.has(text)) {
      const ids = [...BOUNDARY, ...text].map((symbol) => this.vocab.indexOf(symbol));
      let same = 0;
      while (same < ids.length - 1 && ids[same] === this.past[same]) same++;
      this.past.length = same;
      this.known.set(text, logSoftmax(ids.slice(same).map((id) => this.read(id)).at(-1)));
    }
    return this.known.get(text);
  }

  /** Log P of a form behind a prompt; of one that is less likely than `least`, of its beginning. */
  logP(prompt, form, least = -Infinity) {
    let sum = 0, text = prompt;
    for (const symbol of form) {
      if (sum < least) break;
      sum += this.behind(text)[this.vocab.indexOf(symbol)];
      text += symbol;
    }
    return sum;
  }

  /** What the model writes behind a prompt, taking the likeliest symbol each time. */
  greedy(prompt) {
    let text = prompt;
    while ([...text].length < this.config.context - 1) {
      const logP = this.behind(text), symbol = this.vocab[logP.indexOf(Math.max(...logP))];
      if (symbol === BOUNDARY) break;
      text += symbol;
    }
    return text.slice(prompt.length);
  }

  /** The likeliest word that is none of `forms`, if likely at all: the likeliest beginning is continued. */
  otherWord(prompt, forms) {
    const open = [{ text: "", chance: 1 }], room = this.config.context - [...prompt].length;
    while (open.length) {
      const best = open.reduce((one, other) => (other.chance > one.chance ? other : one));
      if (best.text.endsWith(" ")) return { ...best, text: best.text.trim() };
      open.splice(open.indexOf(best), 1);
      this.behind(prompt + best.text).forEach((logP, id) => {
        const text = best.text + this.vocab[id], chance = best.chance * Math.exp(logP);
        const listed = text.endsWith(" ") && forms.some((form) => `${form} `.startsWith(text));
        if (id && text.trim() && !listed && chance >= LEAST && text.length < room) open.push({ text, chance });
      });
    }
    return null;
  }

  /** Perplexity a symbol of a whole sentence. */
  perplexity(sentence) {
    const closed = sentence + BOUNDARY;
    return Math.exp(-this.logP("", closed) / [...closed].length);
  }
}

/** 0.0123 → 1.2 %, with a true minus, `sign` before what is positive, and neither before a zero. */
function percent(share, digits = 1, sign = "") {
  const text = Math.abs(100 * share).toFixed(digits);
  const before = Number(text) === 0 ? "" : share < 0 ? "\u2212" : sign;
  return `${before}${text}\u00a0%`;
}

/** The one of two adapters whose rank is nearer to a rank, the first of equals (runs.nearest_rank). */
function nearer(rank, one, other) {
  return Math.abs(other.rank - rank) < Math.abs(one.rank - rank) ? other : one;
}

/** What to ask behind a text: its forms, if the corpus has it the correct one first, and where it is from. */
function question(text, known, forms, verb) {
  const prompt = known.has(text) ? text : text.trim() && `${text.trimEnd()} `;
  if (known.has(prompt)) {
    const { lemma, beginning } = known.get(prompt);
    return { prompt, lemma, beginning, forms: forms[lemma][beginning.tense][beginning.cell] };
  }
  const named = text.split(": ")[0], lemma = Object.hasOwn(forms, named) ? named : verb;
  const all = Object.values(forms[lemma]).flatMap((byCell) => Object.values(byCell).flat());
  return { prompt, lemma, forms: [...new Set(all)], beginning: null };
}

/** Where a beginning is from. */
function note({ lemma, forms, beginning }) {
  if (!beginning) return `Not a beginning of the corpus: all forms of \u201c${lemma}\u201d compete, none is marked.`;
  const origin = beginning.split === "train" ? "it was there to be trained on" : "no training saw it";
  return `The corpus says \u201c${forms[0]}\u201d behind this beginning; ${origin}.`;
}

/** Why a model cannot be asked, or nothing. */
function problem({ prompt, forms }, { vocab, config }) {
  const strange = [...prompt].find((symbol) => !vocab.includes(symbol));
  if (strange) return `The models do not know \u201c${strange}\u201d; they read \u201c${vocab.slice(1).join("")}\u201d.`;
  const most = config.context - 1 - Math.max(...forms.map((form) => [...form].length));
  return [...prompt].length > most ? `Too long by ${[...prompt].length - most} for the models to read.` : "";
}

/** The rows of the table: each form with its P by model, the correct one first, then as the base has them. */
function listed({ prompt, forms, beginning }, models) {
  const chances = (form) => models.map((model) => Math.exp(model.logP(prompt, `${form} `, HOPELESS)));
  const rows = forms.map((form, i) => ({ form, correct: beginning !== null && !i, by: chances(form) }));
  rows.sort((one, other) => other.correct - one.correct || other.by[0] - one.by[0]);
  return beginning ? rows : rows.filter(({ by }) => Math.max(...by) >= LEAST);
}

/** An element with a class and children. */
function element(tag, className, ...children) {
  const made = Object.assign(document.createElement(tag), { className });
  made.append(...children);
  return made;
}

/** A bar that shows a share. */
function bar(share, className) {
  const filled = element("i", className);
  filled.style.width = `${(100 * share).toFixed(2)}%`;
  return element("span", "share", filled);
}

/** Fill a select with values, one of them chosen; it is not there for nothing to choose. */
function offer(select, values, wanted) {
  const option = (value) => new Option(value.replaceAll("_", " "), value, false, value === wanted);
  select.replaceChildren(...values.map(option));
  select.parentElement.hidden = values.join("") === "";
}

/** Bring the panel to life. */
function start() {
  const panel = document.getElementById("panel"), field = panel.elements;
  const part = (name) => document.getElementById(`panel-${name}`);
  const cell = (row, i) => part(row).children[i + 1];
  const data = JSON.parse(part("data").textContent), { forms, adapters } = data;
  for (const adapter of Object.values(adapters).flat()) adapter.tensors = readTensors(adapter.file);
  const [base, nf4] = [data.base, data.nf4].map((file) => dequantized(readTensors(file)));
  const models = [base, base, nf4].map((tensors) => new MiniGPT(data.config, tensors));
  const kinds = ["base", "lora", "qlora"];
  const asked = () => question(field.beginning.value.normalize("NFC"), known, forms, field.verb.value);

  const lemmas = Object.keys(forms), known = new Map();
  const beginnings = data.beginnings.map(([tense, subject, time, cell, pattern, split, verbs]) => {
    return { tense, subject, time, cell, pattern, split, verbs: verbs ?? lemmas };
  });
  const promptOf = (lemma, { pattern }) => pattern.replace(/^\{\}/, () => lemma);
  for (const beginning of beginnings)
    for (const lemma of beginning.verbs) known.set(promptOf(lemma, beginning), { lemma, beginning });

  /** Show a sentence's parts in the selects, as far as the corpus has them together; its beginning. */
  function choose(wanted) {
    offer(field.verb, lemmas, wanted.verb);
    let left = beginnings.filter(({ verbs }) => verbs.includes(field.verb.value));
    for (const name of ["tense", "subject", "time"]) {
      offer(field[name], [...new Set(left.map((beginning) => beginning[name]))], wanted[name]);
      left = left.filter((beginning) => beginning[name] === field[name].value);
    }
    return promptOf(field.verb.value, left[0]);
  }

  /** Give the models the chosen rank and scale; what the table calls them. */
  function adapt() {
    const rank = adapters.lora[field.rank.value].rank, scale = Number(field.scale.value);
    part("scale").textContent = `\u00d7 ${scale.toFixed(2)}`;
    part("rank").textContent = `r = ${rank}`;
    field.scale.setAttribute("aria-valuetext", `times ${scale}`);
    field.rank.setAttribute("aria-valuetext", `rank ${rank}`);
    const methods = ["lora", "qlora"].map((kind, i) => {
      const chosen = adapters[kind].reduce((one, other) => nearer(rank, one, other));
      models[i + 1].adapt(chosen.tensors, chosen.alpha, scale);
      return `${kind === "lora" ? "LoRA" : "QLoRA"} r\u00a0=\u00a0${chosen.rank}`;
    });
    return ["base", ...methods];
  }

  /** Ask all models and show what they say. */
  function answer() {
    const began = performance.now(), labels = adapt(), now = asked(), fault = problem(now, models[0]);
    field.beginning.setAttribute("aria-invalid", String(fault !== ""));
    part("answers").hidden = fault !== "";
    part("note").textContent = fault ? "" : note(now);
    part("says").replaceChildren(...(fault ? [fault] : show(now, labels)));
    panel.dataset.milliseconds = (performance.now() - began).toFixed(1);
  }

  /** Fill the table; what it says in a sentence. */
  function show(now, labels) {
    const rows = listed(now, models), each = (what) => models.map((model, i) => what(model, i));
    const others = each((model) => model.otherWord(now.prompt, rows.map(({ form }) => form)));
    const best = each((_, i) => {
      const words = rows.map(({ form, by }) => ({ text: form, chance: by[i] })).concat(others[i] ?? []);
      return words.reduce((one, other) => (other.chance > one.chance ? other : one), { text: "nothing likely", chance: 0 });
    });
    labels.forEach((label, i) => cell("head", i).replaceChildren(label));
    part("rows").replaceChildren(
      ...rows.map(({ form, correct, by }) => {
        const header = correct ? [element("b", "", form), element("small", "", "correct")] : [form];
        const cells = by.map((chance, i) => {
          const shown = element(form === best[i].text ? "b" : "span", "", percent(chance));
          return element("td", "", shown, bar(chance, kinds[i]));
        });
        const head = Object.assign(element("th", "", ...header), { scope: "row" });
        return element("tr", correct ? "judged" : "", head, ...cells);
      }),
    );
    const perplexities = models.map((model) => model.perplexity(field.control.value));
    each((model, i) => {
      const share = Math.max(0, 1 - rows.reduce((sum, { by }) => sum + by[i], 0));
      const other = others[i] ? `${others[i].text} ${percent(others[i].chance)}` : "";
      cell("others", i).replaceChildren(percent(share), bar(share, "rest"), element("small", "", other));
      const text = model.greedy(now.prompt), right = /^[ .]|^$/.test(text.slice(now.forms[0].length));
      const mark = text.startsWith(now.forms[0]) && right ? "right" : "wrong";
      cell("writes", i).replaceChildren(element("span", now.beginning ? mark : "", text));
      const drift = i ? percent(perplexities[i] / perplexities[0] - 1, 2, "+") : "\u2013";
      cell("forgets", i).replaceChildren(drift, element("small", "", perplexities[i].toFixed(3)));
    });
    const said = best.map(({ text, chance }, i) => {
      const before = i ? `, ${labels[i]} with ` : "The base goes on with ";
      return [before, element("em", "", text), ` (${percent(chance)})`];
    });
    return [...said.flat(), "."];
  }

  let waiting = 0; // several changes before the screen is drawn again are answered at once
  panel.addEventListener("submit", (event) => event.preventDefault());
  panel.addEventListener("input", ({ target }) => {
    if (target === field.beginning) {
      if (asked().beginning) choose({ verb: asked().lemma, ...asked().beginning });
    } else if ("part" in target.dataset) {
      const wanted = ["verb", "tense", "subject", "time"].map((name) => [name, field[name].value]);
      field.beginning.value = choose(Object.fromEntries(wanted));
    }
    waiting ||= requestAnimationFrame(() => ((waiting = 0), answer()));
  });
  field.rank.max = adapters.lora.length - 1;
  field.rank.value = adapters.lora.findIndex(({ rank }) => rank === data.rank);
  offer(field.control, data.controls, data.controls[0]);
  field.beginning.value = data.first;
  choose({});
  choose({ verb: asked().lemma, ...asked().beginning });
  panel.hidden = false;
  answer();
}

if (typeof document === "undefined") {
  module.exports = { MiniGPT, dequantized, gelu, listed, nearer, percent, problem, question, readTensors };
} else {
  start();
}
