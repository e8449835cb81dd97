// Lines over the stops of a slider, with what the slider stands at marked on them. Pointer and slider move the same.
const SVG = "http://www.w3.org/2000/svg"
const EDGES = { left: 44, right: 10, top: 10, bottom: 40 }

function svgElement(name, attributes, text) {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  if (text !== undefined) made.textContent = text
  return made
}

// Draw `chart` into `svg` and its key into the list `key`; returns what marks a stop, or null where there is no room.
// chart: last stop; low, high; ticks [value, text]; stops [stop, text]; title below; lines (title, colour, values, dash,
// width, marked), of which the first lies on top; band (title, colour, low, high, mean).
function drawLines(svg, key, chart) {
  const [width, height] = [svg.clientWidth, svg.clientHeight]
  if (!width || !height) return null
  const { last, low, high, lines, band } = chart
  const place = (stop, value) => [
    EDGES.left + (stop / Math.max(1, last)) * (width - EDGES.left - EDGES.right),
    EDGES.top + ((high - value) / (high - low)) * (height - EDGES.top - EDGES.bottom),
  ]
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`)
  svg.replaceChildren(...axes(chart, place, height))
  if (band) {
    const outline = [...band.high.map((value, stop) => [stop, value]), ...band.low.map((value, stop) => [stop, value]).reverse()]
    const points = outline.map(([stop, value]) => place(stop, value).join()).join(" ")
    svg.append(svgElement("polygon", { class: "band", style: `fill: ${band.colour}`, points }))
    if (band.mean) svg.append(curve({ values: band.mean, colour: band.colour, dash: "2 4", width: 2 }, place))
  }
  svg.append(...[...lines].reverse().map((line) => curve(line, place)))
  const now = svgElement("line", { class: "now", y1: EDGES.top, y2: place(0, low)[1] })
  const marks = lines.filter((line) => line.marked).map((line) => [line, svgElement("circle", { class: "point", r: 7 })])
  svg.append(now, ...marks.map(([, point]) => point))
  key.replaceChildren(...[...lines, ...(band?.title ? [band] : [])].map((line) => keyOf(line, line === band)))
  return (stop) => {
    const [x] = place(stop, low)
    now.setAttribute("x1", x)
    now.setAttribute("x2", x)
    for (const [line, point] of marks) {
      const value = line.values[stop]
      point.setAttribute("visibility", value == null ? "hidden" : "visible")
      if (value == null) continue
      const [cx, cy] = place(stop, value)
      point.setAttribute("cx", cx)
      point.setAttribute("cy", cy)
    }
  }
}

// Let a pointer that is pressed on the chart choose a stop.
function dragAlong(svg, lastOf, choose) {
  const drag = (event) => {
    if (event.type === "pointermove" && !(event.buttons & 1)) return
    const box = svg.getBoundingClientRect()
    const along = (event.clientX - box.left - EDGES.left) / (box.width - EDGES.left - EDGES.right)
    choose(Math.round(Math.min(1, Math.max(0, along)) * lastOf()))
  }
  svg.addEventListener("pointerdown", drag)
  svg.addEventListener("pointermove", drag)
}

function axes({ last, low, ticks, stops, title }, place, height) {
  const [left, bottom] = place(0, low)
  const [right] = place(last, low)
  const across = ticks.flatMap(([value, text]) => {
    const [, y] = place(0, value)
    return [
      svgElement("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }),
      svgElement("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, text),
    ]
  })
  const along = stops.map(([stop, text]) => {
    const anchor = stop === 0 && text.length > 3 ? "start" : stop === last ? "end" : "middle"
    return svgElement("text", { x: place(stop, low)[0], y: bottom + 16, "text-anchor": anchor }, text)
  })
  return [...across, ...along, svgElement("text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, title)]
}

// A curve through the stops that are known: between two of them it is a straight line, of which dots are the truth.
function curve({ values, colour, dash = "", width = 3 }, place) {
  const known = values.flatMap((value, stop) => (value == null ? [] : [place(stop, value)]))
  const group = svgElement("g", { style: `stroke: ${colour}; color: ${colour}` })
  const points = known.map((each) => each.join()).join(" ")
  group.append(svgElement("polyline", { points, "stroke-dasharray": dash, "stroke-width": width }))
  if (known.length < values.length) group.append(...known.map(([cx, cy]) => svgElement("circle", { class: "known", cx, cy, r: 3 })))
  return group
}

function keyOf({ title, colour, dash }, wide) {
  const item = document.createElement("li")
  const sign = document.createElement("i")
  sign.style.borderTop = `${wide ? 12 : 4}px ${dash ? "dotted" : "solid"} ${colour}`
  sign.className = wide ? "wide" : ""
  item.append(sign, title)
  return item
}
