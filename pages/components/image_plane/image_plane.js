// Pictures on one or two planes: zoom, hover, lasso, click, all in the browser. Coordinates, names and the sheet of
// thumbnails are fetched once each; the server hears of selections only. What is drawn is in image_plane_draw.js,
// what hands do in image_plane_input.js; Python joins the three.

export default function (component) {
  const { data } = component
  const view = viewOf(component, mount)
  update(view, data)
}

function mount(parent) {
  const find = (name) => parent.querySelector(name)
  const view = {
    parent,
    tools: find(".tools"),
    stage: find(".planes"),
    film: find(".film"),
    legends: { colour: find('.legend[data-paint="colour"]'), outline: find('.legend[data-paint="outline"]') },
    paint: {}, // of colour and outline: its title, and the code, words and inks of what is chosen
    said: find("p"),
    card: find(".card"),
    planes: [],
    fetched: {},
    tool: "move",
    size: 28,
    selected: new Set(),
    focus: -1,
    hover: -1,
    lasso: null,
    time: 0,
    playing: false,
    ready: false,
    changes: 0, // of what is selected and how it is coloured
  }
  mountTools(view)
  new ResizeObserver(() => schedule(view)).observe(view.stage)
  return view
}

async function update(view, data) {
  const others = view.data?.signature !== data.signature
  const redrawn = others || view.data?.planes !== data.planes || String(view.data?.titles) !== String(data.titles)
  view.data = data
  view.stage.style.setProperty("--plane-height", `${data.height}px`)
  if (redrawn) {
    view.ready = view.playing = false
    view.hover = -1
    view.time = data.start
    build(view)
  }
  if (others || view.revision !== data.revision) {
    view.revision = data.revision
    view.selected = new Set(data.selected)
    view.focus = data.focus
  }
  try {
    const [sheet, items, layout, codes] = await Promise.all([
      once(view, "sheet", data.sheet, bitmap),
      once(view, "items", data.items, (answer) => answer.json()),
      once(view, "planes", data.planes, (answer) => answer.arrayBuffer()),
      once(view, "codes", data.codes, (answer) => answer.arrayBuffer()),
    ])
    if (view.data !== data) return // a newer one arrived meanwhile
    Object.assign(view, { sheet, items, everyCode: new Uint16Array(codes) })
    if (!view.ready) {
      unpack(view, layout)
      view.ready = true
      view.planes.forEach((plane) => fit(view, plane))
    }
    buildColours(view)
    view.planes.forEach((plane) => (plane.shownFor = null))
    say(view, summary(view))
    showTools(view)
    schedule(view)
  } catch (error) {
    view.ready = false
    say(view, `The pictures could not be fetched (${error.message}). Reload the page.`)
  }
}

// Whatever is behind an address, fetched once and kept until the address changes.
function once(view, name, address, read) {
  if (view.fetched[name]?.address !== address) {
    const base = document.baseURI.split(/[?#]/)[0].replace(/\/$/, "")
    const answer = fetch(new URL(address.replace(/^\//, ""), base)).then((answer) => {
      if (!answer.ok) throw new Error(`${answer.status}`)
      return read(answer)
    })
    // A failure is not kept: the next run asks again.
    answer.catch(() => delete view.fetched[name])
    view.fetched[name] = { address, answer }
  }
  return view.fetched[name].answer
}

async function bitmap(answer) {
  return createImageBitmap(await answer.blob())
}

// Coordinates (planes, frames, images, dimensions) as float32, then neighbours (planes, frames, images, k) as uint16.
function unpack(view, buffer) {
  const { planes, frames, count, dimensions, near } = view.data.layout
  const step = count * dimensions
  const coordinates = new Float32Array(buffer, 0, planes * frames * step)
  const neighbours = new Uint16Array(buffer, 4 * coordinates.length, planes * frames * count * near)
  view.planes.forEach((plane, index) => {
    const of = (list, size, frame) => list.subarray((index * frames + frame) * size, (index * frames + frame + 1) * size)
    plane.frames = Array.from({ length: frames }, (_, frame) => of(coordinates, step, frame))
    plane.near = Array.from({ length: frames }, (_, frame) => of(neighbours, count * near, frame))
    plane.world = new Float32Array(2 * count)
    plane.depth = new Float32Array(count)
    plane.worldFor = null
    plane.shown = new Uint8Array(count)
    plane.shownFor = null
  })
  // Who becomes a picture first where there is not room for all: the same ones every time, from everywhere.
  view.rank = Array.from({ length: count }, (_, index) => index).sort((a, b) => scramble(a) - scramble(b))
}

function scramble(index) {
  return Math.imul(index + 1, 2654435761) >>> 0
}

function build(view) {
  view.stage.replaceChildren()
  view.planes = view.data.titles.map((title, index) => {
    const figure = document.createElement("figure")
    const caption = document.createElement("figcaption")
    const canvas = document.createElement("canvas")
    caption.textContent = title
    caption.hidden = view.data.titles.length < 2
    canvas.tabIndex = 0
    canvas.setAttribute("role", "application")
    canvas.setAttribute("aria-label", `${title}. ${view.data.alt}`)
    figure.append(caption, canvas)
    view.stage.append(figure)
    const plane = { canvas, index, yaw: 0.5, pitch: 0.35, x: 0, y: 0, scale: 1, fitted: 1 }
    listen(view, plane)
    return plane
  })
  view.stage.append(view.card)
  view.stage.classList.toggle("two", view.planes.length > 1)
  view.film.hidden = view.data.frames.length < 2
  const slider = view.film.querySelector("input")
  slider.max = Math.max(0, view.data.frames.length - 1)
  showFilm(view)
}

// What colours and outlines can say; the choice stays where the same is offered again.
function buildColours(view) {
  for (const name of ["colour", "outline"]) {
    const select = view.tools.querySelector(`select[data-paint="${name}"]`)
    const titles = view.data.colours.map((each) => each.title)
    const offered = name === "colour" ? titles : ["", ...titles]
    if (select.dataset.titles !== String(offered)) {
      select.replaceChildren(...offered.map((title) => new Option(title || "None", title)))
      select.value = offered.includes(view.data[name]) ? view.data[name] : offered[0]
      select.dataset.titles = String(offered)
    }
    select.parentElement.hidden = titles.length < 2
    view.paint[name] = paintOf(view, titles.indexOf(select.value))
    buildLegend(view, name)
  }
  view.tools.querySelector("input").parentElement.hidden = !view.data.pictured
  view.changes++
}

function paintOf(view, index) {
  if (index < 0) return null
  const { count } = view.data.layout
  const { legend, palette } = view.data.colours[index]
  const codes = view.everyCode.subarray(index * count, (index + 1) * count)
  return { codes, legend, palette, inks: inksOf(palette) }
}

function buildLegend(view, name) {
  const paint = view.paint[name]
  if (!paint) return view.legends[name].replaceChildren()
  const counts = new Array(paint.legend.length).fill(0)
  for (const code of paint.codes) counts[code]++
  view.legends[name].replaceChildren(
    ...paint.legend.map((text, code) => {
      const button = document.createElement("button")
      const swatch = document.createElement("i")
      const ink = paint.palette[code % paint.palette.length]
      if (name === "colour") swatch.style.background = ink
      else swatch.style.border = `3px ${["solid", "dashed", "dotted", "double"][code % 4]} ${ink}`
      button.type = "button"
      button.append(swatch)
      if (name === "outline") {
        const dot = document.createElement("i") // as its pictures are drawn where they are dots
        dot.className = SHAPES[code % SHAPES.length].name
        dot.style.background = ink
        button.append(dot)
      }
      button.append(`${text} ${counts[code].toLocaleString("en")}`)
      button.title = `Select all: ${text}`
      button.onclick = () => {
        const all = []
        paint.codes.forEach((each, index) => each === code && all.push(index))
        const already = all.length === view.selected.size && all.every((index) => view.selected.has(index))
        choose(view, already ? [] : all, view.focus)
      }
      return button
    }),
  )
}

// Tell the server, and draw at once without waiting for it.
function choose(view, items, focus) {
  view.selected = new Set(items)
  view.focus = focus
  view.changes++
  view.planes.forEach((plane) => (plane.shownFor = null))
  say(view, summary(view))
  showTools(view)
  schedule(view)
  view.send("chosen", { signature: view.data.signature, items: [...view.selected].sort((a, b) => a - b), focus })
}

function summary(view) {
  const total = view.data.layout.count.toLocaleString("en")
  const chosen = view.selected.size ? `${view.selected.size.toLocaleString("en")} of ${total} selected. ` : ""
  if (view.focus >= 0)
    return `${chosen}${named(view, view.focus)}: lines lead to its ${view.data.layout.near} nearest in the original space.`
  return chosen || `${total} pictures. Point at one, click it for its neighbours, or draw a lasso around some.`
}

function named(view, index) {
  const [id, label] = [view.items.ids[index], view.items.classes[view.items.labels[index]]]
  return label && !id.startsWith(label) ? `${label} (${id})` : id
}

function say(view, text) {
  if (view.said.textContent !== text) view.said.textContent = text
}

function schedule(view) {
  if (view.scheduled) return
  view.scheduled = true
  requestAnimationFrame((now) => {
    view.scheduled = false
    if (view.playing) advance(view, now)
    draw(view)
    if (view.playing) schedule(view)
  })
}

// Rest on every frame, glide to the next, begin again after a longer rest.
const REST = 900
const GLIDE = 1300

function advance(view, now) {
  const last = view.data.frames.length - 1
  const cycle = last * (REST + GLIDE) + 2 * REST
  view.began ??= now - view.time * (REST + GLIDE)
  const elapsed = (now - view.began) % cycle
  const frame = Math.min(last, Math.floor(elapsed / (REST + GLIDE)))
  const share = frame === last ? 0 : Math.max(0, (elapsed - frame * (REST + GLIDE) - REST) / GLIDE)
  view.time = frame + (share < 0.5 ? 2 * share * share : 1 - 2 * (1 - share) ** 2)
  showFilm(view)
}

function showFilm(view) {
  const { frames } = view.data
  const slider = view.film.querySelector("input")
  slider.value = view.time
  view.film.querySelector("output").textContent = frames[Math.round(view.time)] ?? ""
  view.film.querySelector("button").textContent = view.playing ? "❚❚ Pause" : "▶ Play"
}
