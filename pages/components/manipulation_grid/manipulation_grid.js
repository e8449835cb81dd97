// One photo under every manipulation: a card each, whose slider moves picture, answers and curve without the server.
// The server hears of what was chosen when the finger rests.
const SVG = "http://www.w3.org/2000/svg"

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  if (isNews(view, data.state)) view.state = structuredClone(data.state)
  view.data = data
  if (view.signature !== data.signature) {
    view.signature = data.signature
    build(view)
  }
  showKept(view)
  view.cards.forEach((card) => showCard(view, card))
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  return { parent, grid: find(".grid"), kept: find(".kept"), key: find(".key"), cards: [] }
}

function element(name, className, text = "") {
  const made = document.createElement(name)
  made.className = className
  made.textContent = text
  return made
}

function button(className, text, label, act) {
  const made = element("button", className, text)
  made.type = "button"
  made.title = label
  made.setAttribute("aria-label", label)
  made.addEventListener("click", act)
  return made
}

// --- Building ---

function build(view) {
  const { data } = view
  // A slider that is being moved keeps the focus when more strengths arrive.
  const focused = (view.parent.getRootNode().activeElement ?? document.activeElement)?.dataset?.row
  view.grid.replaceChildren()
  view.grid.classList.toggle("small", data.side <= 96)
  view.grid.append(photoCard(view))
  view.cards = data.rows.map((row) => buildCard(view, row))
  view.grid.append(...view.cards.map((card) => card.root))
  if (focused) view.cards.find((card) => card.row.name === focused)?.slider.focus()
}

function photoCard(view) {
  const { photo, models } = view.data
  view.key.replaceChildren(
    ...models.map((model) => {
      const line = element("li", "")
      line.append(badge(model), element("span", "", model.title))
      return line
    }),
  )
  const root = element("section", "card photo")
  const head = element("div", "head")
  head.append(element("span", "title", photo.title))
  const picture = element("div", "picture")
  picture.style.backgroundImage = `url("${photo.sheet}")`
  picture.setAttribute("role", "img")
  picture.setAttribute("aria-label", photo.alt)
  // As high as the sliders of the others, so that the tiles of a model stand in a row.
  const slider = element("input", "spacer")
  slider.type = "range"
  slider.disabled = true
  slider.setAttribute("aria-hidden", "true")
  const tiles = element("ul", "tiles")
  models.forEach((model, place) => tiles.append(fillTile(element("li", "tile"), model, photo.answers[place])))
  root.append(head, picture, document.createElementNS(SVG, "svg"), slider, element("output", "", photo.words), tiles)
  return root
}

function badge(model) {
  const made = element("b", "letter", model.letter)
  made.style.setProperty("--model", model.colour)
  made.title = model.title
  return made
}

function buildCard(view, row) {
  const root = element("section", "card")
  const head = element("div", "head")
  const title = button("title", row.title, `${row.title}: ${row.summary} Show its curves below.`, () =>
    choose(view, { shown: row.name }),
  )
  const keep = button("keep", "+", `Do this to every picture: ${row.title} at this strength`, () => {
    const step = { name: row.name, strength: view.state.strengths[row.name] }
    choose(view, { kept: [...view.state.kept, step] }, 0)
  })
  head.append(title, keep)
  const picture = element("div", "picture")
  picture.style.backgroundImage = `url("${row.sheet}")`
  picture.style.backgroundSize = `${100 * row.strengths.length}% 100%`
  picture.setAttribute("role", "img")
  picture.addEventListener("click", () => choose(view, { shown: row.name }))
  const curves = drawCurves(view, row)
  const slider = element("input", "")
  slider.type = "range"
  slider.min = 0
  slider.max = row.strengths.length - 1
  slider.step = 1
  slider.dataset.row = row.name
  slider.setAttribute("aria-label", `${row.title}: strength`)
  slider.addEventListener("input", () => {
    const strengths = { ...view.state.strengths, [row.name]: row.strengths[Number(slider.value)] }
    choose(view, { strengths, shown: row.name })
  })
  const words = element("output", "")
  const tiles = element("ul", "tiles")
  const items = view.data.models.map(() => element("li", "tile"))
  tiles.append(...items)
  root.append(head, picture, curves.svg, slider, words, tiles)
  return { root, row, title, keep, picture, slider, words, items, cursor: curves.cursor }
}

// The probability of each model's answer on the unchanged photo, above the slider that moves along it.
function drawCurves(view, row) {
  const svg = document.createElementNS(SVG, "svg")
  svg.setAttribute("viewBox", "0 0 100 40")
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("aria-hidden", "true")
  const last = Math.max(1, row.strengths.length - 1)
  const cursor = document.createElementNS(SVG, "line")
  cursor.setAttribute("class", "cursor")
  svg.append(cursor)
  view.data.models.forEach((model, place) => {
    const line = document.createElementNS(SVG, "polyline")
    const kept = row.answers[place].map((answer) => answer.kept)
    line.setAttribute("points", kept.map((share, stop) => `${(100 * stop) / last},${38 - 36 * share}`).join(" "))
    line.style.stroke = model.colour
    svg.append(line)
  })
  return { svg, cursor: (stop) => moveCursor(cursor, (100 * stop) / last) }
}

function moveCursor(cursor, x) {
  for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 0, y2: 40 })) cursor.setAttribute(name, value)
}

// --- Showing ---

function stopOf(row, strength) {
  const exact = row.strengths.indexOf(strength)
  if (exact >= 0) return exact
  // Until all strengths are there, the nearest one.
  const distances = row.strengths.map((each) => Math.abs(each - strength))
  return distances.indexOf(Math.min(...distances))
}

function showCard(view, card) {
  const { row } = card
  const stop = stopOf(row, view.state.strengths[row.name])
  const chosen = view.state.shown === row.name
  card.root.classList.toggle("chosen", chosen)
  card.title.setAttribute("aria-pressed", chosen)
  card.keep.disabled = row.strengths[stop] === row.neutral || view.state.kept.length >= view.data.most
  card.picture.style.backgroundPositionX = `${(100 * stop) / Math.max(1, row.strengths.length - 1)}%`
  card.picture.setAttribute("aria-label", `${view.data.photo.alt} ${row.title}, ${row.words[stop]}.`)
  card.slider.value = stop
  card.slider.setAttribute("aria-valuetext", row.words[stop])
  card.words.textContent = row.words[stop]
  card.cursor(stop)
  card.items.forEach((item, place) => fillTile(item, view.data.models[place], row.answers[place][stop]))
}

function fillTile(item, model, answer) {
  const percent = Math.round(100 * answer.share)
  item.classList.toggle("same", answer.same)
  item.classList.toggle("changed", !answer.same)
  item.style.setProperty("--share", `${100 * answer.share}%`)
  const told = answer.same ? "as on the unchanged photo" : "another answer than on the unchanged photo"
  item.title = `${model.title}: ${answer.label} ${percent} %, ${told}`
  item.replaceChildren(
    element("b", "who", model.letter),
    element("span", "sign", answer.same ? "=" : "≠"),
    element("span", "label", answer.label),
    element("span", "share", `${percent}\u202f%`),
  )
  return item
}

// What is done to every picture first, in order; each can be taken away again.
function showKept(view) {
  const { kept } = view.state
  view.kept.replaceChildren()
  view.kept.hidden = !kept.length
  if (!kept.length) return
  view.kept.append(element("span", "", "Done to every picture first:"))
  kept.forEach((step, place) => {
    const row = view.data.rows.find((each) => each.name === step.name)
    const chip = element("span", "chip", view.data.kept[place] ?? `${row?.title ?? step.name} …`)
    const rest = kept.filter((_, other) => other !== place)
    chip.append(button("drop", "×", `Take away ${chip.textContent}`, () => choose(view, { kept: rest }, 0)))
    view.kept.append(chip)
  })
}

function choose(view, changes, wait) {
  const before = view.state
  view.state = { ...before, ...changes }
  if (changes.kept) showKept(view)
  for (const card of view.cards) {
    const { name } = card.row
    const moved = before.strengths[name] !== view.state.strengths[name]
    const marked = (before.shown === name) !== (view.state.shown === name)
    if (changes.kept || moved || marked) showCard(view, card)
  }
  sendAtRest(view, "state", view.state, wait)
}
