// One position of an operator: by what it weighs what it reads, and how its output changes with every input.
// The derivatives are those of the definitions, channel by channel, as autograd measures them in
// core/methods/operators/receptive_field.py; tests/e2e/test_operators.py compares the two.

// Everything about a position that is a softmax between positions: scores, weights, taps of the kernel.
function attentionAt(layer, at, state) {
  const { operator, count } = layer
  const scores = new Float64Array(count)
  scoresAt(layer, at, state.temperature, scores)
  const placed = placedTaps(layer, at, state)
  const logits = scores.slice()
  const inside = operator === "pre" ? layer.outside === "excluded" : layer.window === "renormalised"
  const windowed = inside && (operator === "pre" || operator === "attention_modulated_convolution")
  for (let other = 0; other < count; other++) {
    if (windowed && placed.tap[other] < 0) logits[other] = -Infinity
    else if (operator === "pre") logits[other] += placed.weight(0, other)
  }
  return { scores, shares: softmax(logits), placed }
}

// Which tap of the kernel reads each position, -1 for none, and with what weight.
function placedTaps(layer, at, state) {
  const tap = new Int32Array(layer.count).fill(-1)
  if (layer.operator === "attention") return { tap, weight: () => 0 }
  const kernel = kernelOf(layer, state)
  const taps = new Int32Array(2 * kernel.taps)
  const length = windowAt(layer, kernel.size, at, taps)
  for (let step = 0; step < length; step += 2) tap[taps[step + 1]] = taps[step]
  const weight = (channel, other) =>
    tap[other] < 0 ? 0 : kernel.scale * kernel.weights[channel * kernel.stride + tap[other]]
  return { tap, weight }
}

// What is drawn as attention: weights between positions; in their place the kernel's taps, or what multiplies values.
function rowAt(layer, at, state, channel) {
  const { operator, count, channels } = layer
  const each = (value) => Float64Array.from({ length: count }, (_, other) => value(other))
  if (operator === "convolution_modulated_attention") {
    const { modulation } = modulationOf(layer, state)
    return each((other) => modulation[other * channels + channel])
  }
  if (operator === "convolution") {
    const placed = placedTaps(layer, at, state)
    return each((other) => placed.weight(channel, other))
  }
  const { shares, placed } = attentionAt(layer, at, state)
  if (operator === "post") return each((other) => shares[other] + placed.weight(0, other))
  if (operator === "attention_modulated_convolution") return each((other) => (placed.tap[other] < 0 ? 0 : shares[other]))
  return shares
}

// Whether the definition lets it read beyond its window.
function isLocal({ operator, outside, window, modulation, axis }) {
  return {
    convolution: true,
    attention: false,
    post: false,
    pre: outside === "excluded",
    attention_modulated_convolution: window === "renormalised",
    convolution_modulated_attention: modulation === "none" || axis === "channels",
  }[operator]
}

// How much the output at a position changes with the input at every position: Σ |∂y/∂x| over channels of both.
function fieldAt(layer, at, state) {
  if (layer.operator === "convolution") return convolutionField(layer, at, state)
  if (layer.operator === "convolution_modulated_attention") return modulatedField(layer, at, state)
  return attentionField(layer, at, state)
}

function convolutionField(layer, at, state) {
  const { channels, dim, count, valueWeight } = layer
  const placed = placedTaps(layer, at, state)
  const found = new Float64Array(count)
  for (let other = 0; other < count; other++)
    for (let channel = 0; channel < channels; channel++) {
      const weight = Math.abs(placed.weight(channel, other))
      if (weight) for (let from = 0; from < dim; from++) found[other] += weight * Math.abs(valueWeight[channel * dim + from])
    }
  return found
}

// y = Σ A_j m_j v_j + Σ b_j v_j, A a softmax of q·k_j / T: its weights, then what they do to A by keys, then by the query.
function attentionField(layer, at, state) {
  const { operator, channels, lanes, dim, count, query, key, value, queryWeight, keyWeight, valueWeight } = layer
  const { shares, placed } = attentionAt(layer, at, state)
  const taps = operator === "attention_modulated_convolution"
  const mixed = new Float64Array(channels)
  const term = (channel, other) => (taps ? placed.weight(channel, other) : 1) * value[other * lanes + channel]
  for (let other = 0; other < count; other++)
    for (let channel = 0; channel < channels; channel++) mixed[channel] += shares[other] * term(channel, other)
  const byKey = new Float64Array(dim)
  for (let from = 0; from < dim; from++)
    for (let each = 0; each < channels; each++)
      byKey[from] += (query[at * lanes + each] * keyWeight[each * dim + from]) / state.temperature
  const byQuery = new Float64Array(channels * dim)
  for (let channel = 0; channel < channels; channel++) {
    const pulled = new Float64Array(channels)
    for (let other = 0; other < count; other++) {
      const pull = shares[other] * (term(channel, other) - mixed[channel])
      for (let each = 0; each < channels; each++) pulled[each] += pull * key[other * lanes + each]
    }
    for (let from = 0; from < dim; from++)
      for (let each = 0; each < channels; each++)
        byQuery[channel * dim + from] += (pulled[each] * queryWeight[each * dim + from]) / state.temperature
  }
  const found = new Float64Array(count)
  for (let other = 0; other < count; other++)
    for (let channel = 0; channel < channels; channel++) {
      const added = operator === "post" ? placed.weight(0, other) : 0
      const direct = shares[other] * (taps ? placed.weight(channel, other) : 1) + added
      const pull = shares[other] * (term(channel, other) - mixed[channel])
      for (let from = 0; from < dim; from++)
        found[other] += Math.abs(
          direct * valueWeight[channel * dim + from] +
            pull * byKey[from] +
            (other === at ? byQuery[channel * dim + from] : 0),
        )
    }
  return found
}

// y = M v, M made of a convolution of the modulator: by the convolution's inputs, and by the value at the position.
function modulatedField(layer, at, state) {
  const { channels, lanes, dim, count, value, queryWeight, valueWeight, axis } = layer
  const { modulation, shares, slope } = modulationOf(layer, state)
  const placed = placedTaps(layer, at, state)
  const here = (channel) => at * channels + channel
  const elsewhere = shares && axis === "space" ? sharedSlopes(layer, state) : null
  const found = new Float64Array(count)
  for (let other = 0; other < count; other++) {
    if (placed.tap[other] < 0 && !elsewhere && other !== at) continue
    for (let channel = 0; channel < channels; channel++) {
      // ∂M / ∂(modulator's channel `each` at `other`), times v.
      const slopes = new Float64Array(channels)
      const bend = (each) => slope[here(each)] * placed.weight(each, other)
      if (!shares) slopes[channel] = bend(channel)
      else if (axis === "space")
        slopes[channel] = modulation[here(channel)] * (bend(channel) - elsewhere[other * channels + channel])
      else
        for (let each = 0; each < channels; each++)
          slopes[each] = modulation[here(channel)] * ((each === channel ? 1 : 0) - shares[here(each)]) * bend(each)
      for (let from = 0; from < dim; from++) {
        let sum = other === at ? modulation[here(channel)] * valueWeight[channel * dim + from] : 0
        for (let each = 0; each < channels; each++)
          if (slopes[each]) sum += slopes[each] * value[at * lanes + channel] * queryWeight[each * dim + from]
        found[other] += Math.abs(sum)
      }
    }
  }
  return found
}

// Σ_n P_n f'(z_n) w_{n-j} for every j: how the other positions of a softmax over space answer.
function sharedSlopes(layer, state) {
  const { channels, count } = layer
  const { shares, slope } = modulationOf(layer, state)
  const kernel = kernelOf(layer, state)
  const [found, taps] = [new Float64Array(count * channels), new Int32Array(2 * kernel.taps)]
  for (let at = 0; at < count; at++) {
    const length = windowAt(layer, kernel.size, at, taps)
    for (let step = 0; step < length; step += 2)
      for (let channel = 0; channel < channels; channel++) {
        const weight = kernel.scale * kernel.weights[channel * kernel.stride + taps[step]]
        found[taps[step + 1] * channels + channel] +=
          shares[at * channels + channel] * slope[at * channels + channel] * weight
      }
  }
  return found
}
