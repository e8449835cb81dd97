// The six operators as numbers: what core/models/operators.py computes, for maps that follow the finger.
// A map is position after position, channels together; tests/e2e/test_operators.py compares every number with torch's.

// Channels are filled up to a multiple of four with zeros, so that inner loops are written out by four.
const filled = (channels) => 4 * Math.ceil(channels / 4)

function layersOf(columns, arrays, [height, width]) {
  const projected = new Map() // the random columns share theirs
  const project = (x, { weight, bias }, dim, channels) => {
    const name = [x, weight, bias].join()
    if (!projected.has(name))
      projected.set(name, projectedMap(arrays[x], arrays[weight], arrays[bias], height * width, dim, channels))
    return projected.get(name)
  }
  return columns.map((column) => {
    const { dim, channels } = column
    const layer = { ...column, height, width, count: height * width, lanes: filled(channels), cache: {} }
    for (const part of ["query", "key", "value"]) {
      layer[part] = project(column.x, column[part], dim, channels)
      layer[`${part}Weight`] = arrays[column[part].weight]
    }
    layer.kernels = Object.fromEntries(Object.entries(column.kernels ?? {}).map(([size, name]) => [size, arrays[name]]))
    layer.pairs = [column.x, column.query.weight, column.key.weight, column.value.weight].join()
    return layer
  })
}

// (positions, lanes) of a map (positions, dim).
function projectedMap(x, weight, bias, count, dim, channels) {
  const lanes = filled(channels)
  const found = new Float64Array(count * lanes)
  for (let at = 0; at < count; at++)
    for (let channel = 0; channel < channels; channel++) {
      let sum = bias ? bias[channel] : 0
      for (let from = 0; from < dim; from++) sum += weight[channel * dim + from] * x[at * dim + from]
      found[at * lanes + channel] = sum
    }
  return found
}

// The kernel in use: of the size that is asked for, or the one that was learned.
function kernelOf(layer, state) {
  const sizes = Object.keys(layer.kernels)
  const size = sizes.length === 1 ? Number(sizes[0]) : state.kernel
  const taps = size * size
  return { size, taps, weights: layer.kernels[size], stride: layer.shared ? 0 : taps, scale: state.weight }
}

// The window of a position: `into` gets tap, position, tap, position, …; returns how many numbers.
function windowAt(layer, size, at, into) {
  const { height, width, padding } = layer
  const [radius, row, column] = [size >> 1, Math.floor(at / width), at % width]
  let found = 0
  for (let down = 0; down < size; down++) {
    let y = row - down + radius // i - j is (down, right) from the centre: a convolution
    if (padding === "circular") y = (y + height) % height
    else if (y < 0 || y >= height) continue
    for (let right = 0; right < size; right++) {
      let x = column - right + radius
      if (padding === "circular") x = (x + width) % width
      else if (x < 0 || x >= width) continue
      into[found++] = down * size + right
      into[found++] = y * width + x
    }
  }
  return found
}

function scoresAt(layer, at, temperature, into) {
  const { query, key, lanes, count } = layer
  const start = at * lanes
  let largest = -Infinity
  for (let other = 0, from = 0; other < count; other++) {
    let sum = 0
    for (let lane = start; lane < start + lanes; lane += 4, from += 4)
      sum +=
        query[lane] * key[from] +
        query[lane + 1] * key[from + 1] +
        query[lane + 2] * key[from + 2] +
        query[lane + 3] * key[from + 3]
    sum /= temperature
    into[other] = sum
    if (sum > largest) largest = sum
  }
  return largest
}

// Softmax of one position over all, and the values mixed by it before they are divided by `sum`.
function pairsAt(layer, at, temperature, { scores, shares, mixed }) {
  const { value, lanes, count } = layer
  const largest = scoresAt(layer, at, temperature, scores)
  let sum = 0
  for (let other = 0; other < count; other++) sum += shares[other] = Math.exp(scores[other] - largest)
  for (let lane = 0; lane < lanes; lane += 4) {
    let [first, second, third, fourth] = [0, 0, 0, 0]
    for (let other = 0, from = lane; other < count; other++, from += lanes) {
      const share = shares[other]
      first += share * value[from]
      second += share * value[from + 1]
      third += share * value[from + 2]
      fourth += share * value[from + 3]
    }
    mixed[lane] = first
    mixed[lane + 1] = second
    mixed[lane + 2] = third
    mixed[lane + 3] = fourth
  }
  return sum
}

function workFor(layer) {
  const numbers = () => new Float64Array(layer.count)
  return { scores: numbers(), shares: numbers(), mixed: new Float64Array(layer.lanes), sum: 1 }
}

const readsAllPairs = ({ operator, outside, window }) =>
  operator === "attention" || operator === "post" || (operator === "pre" && outside === "zero") ||
  (operator === "attention_modulated_convolution" && window === "whole")

// Every operator at every position, a few positions at a time: yields now and then, returns outputs and the mean weight
// of a position for itself (null where nothing is a weight between positions).
function* sweep(layers, state) {
  const results = layers.map((layer) => layer && { output: new Float64Array(layer.count * layer.channels), own: 0 })
  const groups = new Map()
  layers.forEach((layer) => layer && readsAllPairs(layer) && groups.set(layer.pairs, [layer, workFor(layer)]))
  const some = layers.find((layer) => layer)
  if (!some) return results
  const taps = new Int32Array(2 * Math.max(...layers.map((layer) => (layer?.kernels ? kernelSquare(layer, state) : 1))))
  for (let at = 0; at < some.count; at++) {
    for (const [layer, work] of groups.values()) work.sum = pairsAt(layer, at, state.temperature, work)
    layers.forEach((layer, index) => {
      if (layer) results[index].own += mixAt(layer, at, state, groups.get(layer.pairs)?.[1], taps, results[index].output)
    })
    if (at % 8 === 7) yield at
  }
  for (const [index, layer] of layers.entries())
    if (layer) results[index].own = layer.operator.startsWith("convolution") ? null : results[index].own / layer.count
  return results
}

const kernelSquare = (layer, state) => (layer.operator === "attention" ? 1 : kernelOf(layer, state).taps)

// One position of one operator into `output`; returns the weight that it keeps for itself.
function mixAt(layer, at, state, work, taps, output) {
  const { operator, channels, lanes, value } = layer
  const start = at * channels
  if (operator === "attention") {
    for (let channel = 0; channel < channels; channel++) output[start + channel] = work.mixed[channel] / work.sum
    return work.shares[at] / work.sum
  }
  if (operator === "convolution_modulated_attention") {
    const { modulation } = modulationOf(layer, state)
    for (let channel = 0; channel < channels; channel++)
      output[start + channel] = modulation[start + channel] * value[at * lanes + channel]
    return 0
  }
  const kernel = kernelOf(layer, state)
  const { weights, stride, scale } = kernel
  const length = windowAt(layer, kernel.size, at, taps)
  const centre = scale * weights[kernel.taps >> 1]
  if (operator === "convolution" || operator === "post") {
    for (let channel = 0; channel < channels; channel++) {
      let sum = operator === "post" ? work.mixed[channel] / work.sum : 0
      for (let step = 0; step < length; step += 2)
        sum += scale * weights[channel * stride + taps[step]] * value[taps[step + 1] * lanes + channel]
      output[start + channel] = sum
    }
    return operator === "post" ? work.shares[at] / work.sum + centre : 0
  }
  if (operator === "pre" && layer.outside === "zero") {
    // Within the window e^(s + w) = e^s e^w takes the place of e^s.
    let sum = work.sum
    for (let channel = 0; channel < channels; channel++) output[start + channel] = work.mixed[channel]
    for (let step = 0; step < length; step += 2) {
      const other = taps[step + 1]
      const more = work.shares[other] * Math.expm1(scale * weights[taps[step]])
      sum += more
      for (let channel = 0; channel < channels; channel++)
        output[start + channel] += more * value[other * lanes + channel]
    }
    for (let channel = 0; channel < channels; channel++) output[start + channel] /= sum
    return (work.shares[at] * Math.exp(centre)) / sum
  }
  // What is left mixes within the window.
  const bias = operator === "pre" ? (tap) => scale * weights[tap] : () => 0
  const all = operator === "attention_modulated_convolution" && layer.window === "whole"
  const shares = all ? null : windowShares(layer, at, state.temperature, taps, length, bias)
  let own = 0
  for (let channel = 0; channel < channels; channel++) output[start + channel] = 0
  for (let step = 0; step < length; step += 2) {
    const other = taps[step + 1]
    const share = all ? work.shares[other] / work.sum : shares[step >> 1]
    if (other === at) own = share
    for (let channel = 0; channel < channels; channel++) {
      const tap = operator === "pre" ? 1 : scale * weights[channel * stride + taps[step]]
      output[start + channel] += share * tap * value[other * lanes + channel]
    }
  }
  return own
}

// A softmax over the window of a position.
function windowShares(layer, at, temperature, taps, length, bias) {
  const { query, key, channels, lanes } = layer
  const found = new Float64Array(length >> 1)
  for (let step = 0; step < length; step += 2) {
    let sum = 0
    for (let channel = 0; channel < channels; channel++)
      sum += query[at * lanes + channel] * key[taps[step + 1] * lanes + channel]
    found[step >> 1] = sum / temperature + bias(taps[step])
  }
  return softmax(found)
}

function softmax(numbers) {
  const largest = numbers.reduce((most, each) => Math.max(most, each), -Infinity)
  let sum = 0
  for (let at = 0; at < numbers.length; at++) sum += numbers[at] = Math.exp(numbers[at] - largest)
  for (let at = 0; at < numbers.length; at++) numbers[at] /= sum
  return numbers
}

// What convolution-modulated attention multiplies by: the convolution, its activation, its softmax.
function modulationOf(layer, state) {
  const kernel = kernelOf(layer, state)
  const name = `${kernel.size}/${kernel.scale}`
  if (layer.cache.name === name) return layer.cache
  const { query, channels, lanes, count, activation, modulation: normalisation, axis } = layer
  const [convolved, taps] = [new Float64Array(count * channels), new Int32Array(2 * kernel.taps)]
  for (let at = 0; at < count; at++) {
    const length = windowAt(layer, kernel.size, at, taps)
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0
      for (let step = 0; step < length; step += 2)
        sum += kernel.weights[channel * kernel.stride + taps[step]] * query[taps[step + 1] * lanes + channel]
      convolved[at * channels + channel] = kernel.scale * sum
    }
  }
  const slope = activation === "gelu" ? convolved.map(geluSlope) : new Float64Array(convolved.length).fill(1)
  const modulation = activation === "gelu" ? convolved.map(gelu) : convolved.slice()
  let shares = null
  const length = axis === "space" ? count : channels
  if (normalisation !== "none") {
    shares = new Float64Array(modulation.length)
    for (let line = 0; line < modulation.length / length; line++) {
      const place = (step) => (axis === "space" ? step * channels + line : line * channels + step)
      softmax(Float64Array.from({ length }, (_, step) => modulation[place(step)])).forEach((share, step) => {
        shares[place(step)] = share
      })
    }
    const scale = normalisation === "softmax_rescaled" ? length : 1
    for (let at = 0; at < modulation.length; at++) modulation[at] = shares[at] * scale
  }
  layer.cache = { name, modulation, shares, slope }
  return layer.cache
}

const gelu = (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))
const geluSlope = (x) => 0.5 * (1 + erf(x / Math.SQRT2)) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)

// Abramowitz & Stegun 7.1.26, right to 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x))
  const tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
  return Math.sign(x) * (1 - tail * Math.exp(-x * x))
}
