// What the components share; Python puts it before each of their scripts.
const views = new WeakMap()

// The view of a component on the page: made once by `mount`, and told by which way the server hears of it.
function viewOf({ parentElement, setStateValue }, mount) {
  const view = views.get(parentElement) ?? mount(parentElement)
  views.set(parentElement, view)
  view.send = setStateValue
  return view
}

// Draw once before the next frame, however often it is asked for until then.
function atNextFrame(view, draw) {
  if (view.waiting) return
  view.waiting = true
  requestAnimationFrame(() => {
    view.waiting = false
    draw(view)
  })
}

// The bytes at an address of the server; null, and a sentence in `view.said`, where they cannot be had.
async function fetched(view, address, what) {
  try {
    const answer = await fetch(address)
    if (!answer.ok) throw new Error(String(answer.status))
    return new Uint8Array(await answer.arrayBuffer())
  } catch (error) {
    view.said.textContent = `${what} could not be fetched (${error.message}). Reload the page.`
    return null
  }
}

// What Python sends as text in base 64.
function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
}
