// What is shown, as numbers: (patches,) of one layer, from the rows that the server worked out and the bytes.

const FUSIONS = ["mean", "max", "min"]

// The map of the chosen kind, for a patch or (-1) what the head of the model reads; null while it is on its way.
function valuesOf(view, choice, query) {
  if (choice.kind === "rollout") return rolledOut(view, choice, query)
  if (query < 0) return view.reader && readerRow(view, choice.layer, choice.head)
  const layer = view.weights.get(choice.layer)
  if (!layer) {
    fetchWeights(view, choice.layer)
    return null
  }
  return patchRow(view.data, layer, choice, query)
}

function readerRow(view, layer, head) {
  const { heads, rows, cols } = view.data
  const fusion = FUSIONS.indexOf(head)
  const at = layer * (FUSIONS.length + heads) + (fusion < 0 ? FUSIONS.length + Number(head) - 1 : fusion)
  return view.reader.rows.subarray(at * rows * cols, (at + 1) * rows * cols)
}

function patchRow(data, layer, { head, direction }, query) {
  const { prefix, rows, cols } = data
  const patches = rows * cols
  const found = new Float32Array(patches)
  for (let patch = 0; patch < patches; patch += 1) {
    const [row, column] = direction === "from" ? [patch, query] : [query, patch]
    found[patch] = fusedAt(data, layer, head, prefix + row, prefix + column)
  }
  return found
}

function weightAt(layer, tokens, head, row, column) {
  const at = head * tokens + row
  return layer.low[at] + layer.step[at] * layer.bytes[at * tokens + column]
}

function fusedAt({ heads, prefix, rows, cols }, layer, head, row, column) {
  const tokens = prefix + rows * cols
  if (!FUSIONS.includes(head)) return weightAt(layer, tokens, Number(head) - 1, row, column)
  let found = weightAt(layer, tokens, 0, row, column)
  for (let each = 1; each < heads; each += 1) {
    const value = weightAt(layer, tokens, each, row, column)
    if (head === "mean") found += value
    else if (head === "max" ? value > found : value < found) found = value
  }
  return head === "mean" ? found / heads : found
}

// Rollout, as core/methods/attention/rollout.py: a row of the product of all layers up to this one, from above, so that
// it stays a row. Null while a layer is on its way.
function rolledOut(view, { layer, head }, query) {
  const { prefix, rows, cols } = view.data
  const tokens = prefix + rows * cols
  if (!view.reader || !stepsReady(view, layer)) return null
  let reached = new Float32Array(tokens)
  if (query < 0) reached.set(view.reader.share)
  else reached[prefix + query] = 1
  for (let each = layer; each >= 0; each -= 1) reached = mixed(view.data, stepOf(view, each, head), reached)
  return reached.subarray(prefix)
}

function stepsReady(view, layer) {
  let ready = true
  for (let each = 0; each <= layer; each += 1) {
    if (view.weights.get(each)) continue
    fetchWeights(view, each)
    ready = false
  }
  return ready
}

// The heads of a layer fused, nothing below zero, and the sum of each row; kept for one choice of heads.
function stepOf(view, layer, head) {
  if (view.rolled.head !== head) view.rolled = { head, steps: [] }
  return (view.rolled.steps[layer] ??= fusedLayer(view.data, view.weights.get(layer), head))
}

function fusedLayer({ heads, prefix, rows, cols }, { low, step, bytes }, head) {
  const tokens = prefix + rows * cols
  const weights = new Float32Array(tokens * tokens)
  const sums = new Float32Array(tokens)
  const several = FUSIONS.includes(head)
  const [first, last] = several ? [0, heads] : [Number(head) - 1, Number(head)]
  for (let each = first; each < last; each += 1)
    for (let row = 0; row < tokens; row += 1) {
      const [base, unit, from] = [low[each * tokens + row], step[each * tokens + row], (each * tokens + row) * tokens]
      const to = row * tokens
      if (each === first) for (let k = 0; k < tokens; k += 1) weights[to + k] = base + unit * bytes[from + k]
      else if (head === "mean") for (let k = 0; k < tokens; k += 1) weights[to + k] += base + unit * bytes[from + k]
      else {
        const pick = head === "max" ? Math.max : Math.min
        for (let k = 0; k < tokens; k += 1) weights[to + k] = pick(weights[to + k], base + unit * bytes[from + k])
      }
    }
  const scale = head === "mean" ? 1 / heads : 1
  for (let row = 0, at = 0; row < tokens; row += 1)
    for (let k = 0; k < tokens; k += 1, at += 1) sums[row] += weights[at] = Math.max(0, weights[at] * scale)
  return { weights, sums }
}

// reached @ rownorm(A + I); for signed maps reached @ (rownorm(A) / 2 + I / 2).
function mixed({ signed }, { weights, sums }, reached) {
  const tokens = reached.length
  const found = new Float32Array(tokens)
  for (let row = 0; row < tokens; row += 1) {
    if (!reached[row]) continue
    const own = signed ? (sums[row] > 0 ? 0.5 * reached[row] : reached[row]) : reached[row] / (sums[row] + 1)
    const share = signed ? (sums[row] > 0 ? (0.5 * reached[row]) / sums[row] : 0) : own
    found[row] += own
    const at = row * tokens
    for (let column = 0; column < tokens; column += 1) found[column] += share * weights[at + column]
  }
  return found
}

// The fewest patches that hold a share of the map, by magnitude, ties by position: core's `attention_mass`.
function heldBy(values, mass) {
  const sizes = Float64Array.from(values, Math.abs)
  const sorted = sizes.slice().sort()
  const total = sizes.reduce((sum, each) => sum + each, 0)
  let [left, held] = [sorted.length, 0]
  while (left && total && held / total < mass - 1e-9) held += sorted[(left -= 1)]
  const least = sorted[left] ?? Infinity // of those that are held
  let ties = sorted.length - left - sizes.reduce((sum, each) => sum + (each > least), 0)
  return Uint8Array.from(sizes, (each) => each > least || (each === least && ties-- > 0))
}

// The end of the colours: the 99th percentile, as in core/figures/overlay.py, so that one outlier leaves the rest in sight.
function reachOf(values) {
  const sorted = Float32Array.from(values, Math.abs).sort()
  const place = 0.99 * (sorted.length - 1)
  const below = Math.floor(place)
  const above = Math.min(sorted.length - 1, below + 1)
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]) || sorted[sorted.length - 1] || 1
}
