// Pictures that have no room are dots: their colours, outlines and shapes.

// Dots are written pixel by pixel: without a graphics card, ten thousand calls of a canvas take a tenth of a second.
function drawDots(context, view, plane, ratio) {
  const { width, height } = plane.canvas
  if (plane.dots?.width !== width || plane.dots?.height !== height) plane.dots = new ImageData(width, height)
  const pixels = new Uint32Array(plane.dots.data.buffer)
  pixels.fill(0)
  const chosen = view.selected.size > 0
  const { dimensions, count } = view.data.layout
  const usual = ((count > 3000 ? 5 : 7) + (view.paint.outline ? 4 : 0)) * ratio * Math.min(2, Math.max(0.8, Math.sqrt(plane.scale / plane.fitted)))
  const [middleX, middleY, scale] = [(plane.width / 2) * ratio, (plane.height / 2) * ratio, plane.scale * ratio]
  for (const bright of chosen ? [false, true] : [true])
    for (const index of plane.order ?? view.rank) {
      if (plane.shown[index] || (chosen && view.selected.has(index) !== bright)) continue
      const side = Math.round(dimensions === 3 ? usual * lens(plane, index, 3) : usual)
      const left = Math.round(middleX + (plane.world[2 * index] - plane.x) * scale - side / 2)
      const top = Math.round(middleY - (plane.world[2 * index + 1] - plane.y) * scale - side / 2)
      if (left < 0 || top < 0 || left + side > width || top + side > height) continue
      const { colour, outline } = view.paint
      const rim = outline ? Math.max(2, Math.round(side * 0.22)) : 0
      // A shape of its own, too, for eyes that cannot tell the colours.
      const shape = outline ? SHAPES[outline.codes[index] % SHAPES.length] : SHAPES[0]
      if (rim) fillDot(pixels, width, left, top, side, shape, inkOf(outline, index), bright)
      fillDot(pixels, width, left + rim, top + rim, side - 2 * rim, shape, inkOf(colour, index), bright)
    }
  context.putImageData(plane.dots, 0, 0)
}

function inkOf(paint, index) {
  return paint.inks[paint.codes[index] % paint.inks.length]
}

function colourOf(paint, index) {
  return paint.palette[paint.codes[index] % paint.palette.length]
}

function fillDot(pixels, width, left, top, side, shape, ink, bright) {
  const round = coverage(side, shape)
  for (let row = 0, at = 0; row < side; row++)
    for (let column = 0, to = (top + row) * width + left; column < side; column++, at++, to++)
      // The soft edge of one dot must not cut into another.
      if (round[at] === 255 || (round[at] && !pixels[to])) pixels[to] = ink | ((bright ? round[at] : round[at] * 0.24) << 24)
}

// Of the dots of one outline: how far inside a shape of half a side `r` the place (x, y) from its middle is, in pixels.
const SHAPES = [
  { name: "disc", inside: (x, y, r) => r - Math.hypot(x, y) },
  { name: "square", inside: (x, y, r) => 0.9 * r - Math.max(Math.abs(x), Math.abs(y)) },
  { name: "diamond", inside: (x, y, r) => (r - Math.abs(x) - Math.abs(y)) / Math.SQRT2 + 0.3 },
  { name: "triangle", inside: (x, y, r) => Math.min(0.9 * r - y, (r + y - 2 * Math.abs(x)) / Math.sqrt(5)) },
]
const covered = new Map()

// How much of each pixel a shape in a square of this side covers, 0 to 255.
function coverage(side, { name, inside }) {
  const key = `${name} ${side}`
  if (!covered.has(key))
    covered.set(
      key,
      Uint8Array.from({ length: side * side }, (_, at) => {
        const depth = inside((at % side) + 0.5 - side / 2, Math.floor(at / side) + 0.5 - side / 2, side / 2)
        return 255 * Math.max(0, Math.min(1, depth + 0.5))
      }),
    )
  return covered.get(key)
}

// Colours as they lie in memory, without their opacity.
function inksOf(palette) {
  return palette.map((colour) => {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16))
    return red | (green << 8) | (blue << 16)
  })
}
