// What is under the pointer, beside the picture, and the colours with their unit, over it.

const percent = (share) => {
  const size = Math.abs(100 * share)
  const sign = share < 0 ? "−" : ""
  return `${sign}${size >= 1 ? size.toFixed(1) : size.toPrecision(2)} %`
}

function words(view, values, query) {
  const { data, choice } = view
  const place = (patch) => `row ${Math.floor(patch / data.cols) + 1}, column ${(patch % data.cols) + 1}`
  let best = 0
  for (let patch = 1; patch < values.length; patch += 1) if (values[patch] > values[best]) best = patch
  const reader = data.readerName[0].toUpperCase() + data.readerName.slice(1)
  const who = query < 0 ? reader : `The patch at ${place(query)}`
  let said
  if (choice.kind === "rollout") said = `Rollout up to layer ${choice.layer + 1}: ${query < 0 ? data.readerName : `the patch at ${place(query)}`} holds most of ${place(best)}, ${percent(values[best])}.`
  else if (choice.direction === "from" && query >= 0)
    said = `${who} is attended to most by ${place(best)}, which gives it ${percent(values[best])}.`
  else said = `${who} attends most, ${percent(values[best])} at ${place(best)}.`
  if (choice.mass < 100) {
    const count = heldBy(values, choice.mass / 100).reduce((sum, each) => sum + each, 0)
    said += ` ${count} of ${values.length} patches hold ${choice.mass} % of the map.`
  }
  say(view, said)
  const [layer, head] = view.cell_hover ?? [choice.layer, headOf(view)]
  view.cell.textContent = `Layer ${layer + 1}, ${head < 0 ? `${choice.head} of all heads` : `head ${head + 1}`}`
  scaleWords(view, values, query)
}

// Said once: those who hear the page are not told the same again with every frame.
function say(view, words) {
  if (view.said.textContent !== words) view.said.textContent = words
}

function scaleWords(view, values, query) {
  const { choice } = view
  const signed = isSigned(view)
  const reach = reachOf(values)
  view.scale.toggleAttribute("data-mask", choice.mass < 100)
  const unit =
    choice.mass < 100
      ? "in sight: what holds the share; grey: the rest"
      : choice.kind === "rollout"
        ? "of what has reached it"
        : choice.direction === "from" && query >= 0
          ? "of each patch’s attention"
          : "of its attention"
  // Beyond the end of the colours all look alike.
  const ends = values.reduce(([low, high], each) => [Math.min(low, each), Math.max(high, each)], [0, 0])
  const low = signed ? (ends[0] < -reach ? "≤ " : "") + percent(-reach) : "0"
  showScale(view, { signed, low, high: (ends[1] > reach ? "≥ " : "") + percent(reach), unit })
}

function showScale(view, said) {
  const { signed } = said
  const [low, bar, high, unit] = view.scale.children
  const colours = view.colours[signed ? 1 : 0]
  const stops = Array.from({ length: 17 }, (_, stop) => {
    const at = 3 * Math.round((255 * stop) / 16)
    return `rgb(${colours[at]},${colours[at + 1]},${colours[at + 2]})`
  })
  bar.style.background = `linear-gradient(to right, ${stops.join()})`
  low.textContent = said.low
  high.textContent = said.high
  unit.textContent = said.unit
}
