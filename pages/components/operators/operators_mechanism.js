// One operator, one position, one channel, step by step: every factor of its equation as a map, and their sum.

// The factors in the order of the equation: [sign before it, term, title, values, signed].
function factorsOf(layer, at, state) {
  const { operator, count, lanes, value } = layer
  const { channel } = state
  const each = (number) => Float64Array.from({ length: count }, (_, other) => number(other))
  const values = each((other) => value[other * lanes + channel])
  if (operator === "convolution_modulated_attention") {
    const { modulation } = modulationOf(layer, state)
    const placed = placedTaps(layer, at, state)
    const modulated = each((other) => layer.query[other * lanes + channel])
    const factor = each((other) => modulation[other * layer.channels + channel])
    return {
      tiles: [
        ["", "w", "kernel w", each((other) => placed.weight(channel, other)), true],
        ["∗", "q", "modulator q", modulated, true],
        ["→", "A", "factor at every j", factor, true],
        ["⊙", "v", "values v", values, true],
      ],
      y: factor[at] * values[at],
      only: at,
    }
  }
  const placed = placedTaps(layer, at, state)
  const kernel = each((other) => placed.weight(layer.shared ? 0 : channel, other))
  if (operator === "convolution") return summed([["", "w", "kernel w", kernel, true]], kernel, values)
  const { scores, shares } = attentionAt(layer, at, state)
  const score = ["", "s", "q·k / T", scores, true]
  if (operator === "attention") return summed([score, ["softmax →", "A", "attention A", shares, false]], shares, values)
  if (operator === "pre") {
    const steps = [score, ["+", "w", "kernel w", kernel, true], ["softmax →", "A", "weights A", shares, false]]
    return summed(steps, shares, values)
  }
  const seen = operator === "post" ? shares : rowAt(layer, at, state, channel)
  const weights = each((other) => (operator === "post" ? seen[other] + kernel[other] : seen[other] * kernel[other]))
  const sign = operator === "post" ? "+" : "⊙"
  const steps = [["", "A", "attention A", seen, false], [sign, "w", "kernel w", kernel, true]]
  return summed([...steps, ["=", "A", operator === "post" ? "A + w" : "A ⊙ w", weights, true]], weights, values)
}

function summed(steps, weights, values) {
  const products = weights.map((weight, other) => weight * values[other])
  const tiles = [...steps, ["⊙", "v", "values v", values, true], ["=", "y", "what each j adds", products, true]]
  return { tiles, y: products.reduce((sum, product) => sum + product, 0) }
}

function drawMechanism(view) {
  const { state, data, mechanism } = view
  const index = data.columns.findIndex((column) => column.operator === state.operator)
  for (const each of view.columns) each.button?.setAttribute("aria-pressed", String(each.column.operator === state.operator))
  const [layer, column] = [view.layers[index], data.columns[index]]
  const shape = `${view.signature}/${state.operator}`
  if (view.shownMechanism !== shape) {
    view.shownMechanism = shape
    buildMechanism(view, layer, column)
  }
  if (!layer) return
  const { tiles, y, only } = factorsOf(layer, state.at, state)
  view.factors = { tiles, y, only }
  tiles.forEach(([, , , values, signed], step) => paint(view, view.steps[step], values, { signed }))
  for (const mark of mechanism.querySelectorAll(".frame > .mark")) placeMark(view, mark, state.at)
  sayFactors(view, view.hover ?? state.at)
}

function buildMechanism(view, layer, column) {
  const { mechanism } = view
  mechanism.replaceChildren()
  const head = element("div", "about")
  const formula = element("div", "formula")
  formula.innerHTML = column.formula // ours: pages/operators/words.py
  for (const term of formula.querySelectorAll("[data-term]")) term.tabIndex = 0
  head.append(element("strong", "", column.title), formula, element("span", "story", column.story))
  mechanism.append(head)
  view.steps = []
  if (!layer) return
  const strip = element("div", "strip")
  for (const [sign, term, title] of factorsOf(layer, view.state.at, view.state).tiles) {
    if (sign) strip.append(element("span", "sign", sign))
    const tile = element("figure")
    tile.dataset.term = term
    const frame = mapFrame(view, `${title} of ${column.title}`)
    frame.addEventListener("pointermove", (event) => {
      view.hover = positionAt(view, frame, event)
      sayFactors(view, view.hover)
    })
    frame.addEventListener("pointerleave", () => {
      view.hover = null
      sayFactors(view, view.state.at)
    })
    tile.append(element("figcaption", "", title), frame)
    strip.append(tile)
    view.steps.push(frame)
  }
  mechanism.append(strip, element("p", "reading"))
}

// The numbers of one position j in every factor, and what they come to.
function sayFactors(view, other) {
  const { tiles, y, only } = view.factors
  const { state, data } = view
  const [, width] = data.grid
  const read = tiles.map(([, , title, values]) => `${title} ${three(values[other])}`).join(" · ")
  const sum = only === undefined ? "All j together" : "Its factor times its value"
  view.mechanism.querySelector(".reading").textContent =
    `j at row ${Math.floor(other / width) + 1}, column ${(other % width) + 1}: ${read}. ` +
    `${sum}, channel ${state.channel + 1} at i: y = ${three(y)}.`
}
