// A photo without some of its patches, as the model gets it: drawn at the model's own resolution, pixel by pixel.

// Load the two pictures of `data`, the photo and what lies under its patches; then `draw(view)`.
function loadPictures(view, data, draw) {
  for (const name of ["photo", "filling"]) {
    if (view[name]?.getAttribute("src") === data[name]) continue
    view[name] = new Image()
    view[name].onload = () => draw(view)
    view[name].src = data[name]
  }
}

function drawMasked(view, canvas, removed) {
  const { photo, filling, data } = view
  if (![photo, filling].every((each) => each.complete && each.naturalWidth)) return
  const [width, height] = [photo.naturalWidth, photo.naturalHeight]
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height]
  canvas.classList.toggle("small", width <= 96)
  const context = canvas.getContext("2d")
  context.drawImage(photo, 0, 0)
  for (const patch of removed) {
    const [left, top, wide, high] = placeOfPatch(data, patch, width, height)
    context.drawImage(filling, left, top, wide, high, left, top, wide, high)
  }
}

// A pixel belongs to the patch that its top left corner lies in, as in core/methods/masking/masking.py.
function placeOfPatch({ rows, cols }, patch, width, height) {
  const [row, column] = [Math.floor(patch / cols), patch % cols]
  const [left, right] = [column, column + 1].map((each) => Math.ceil((each * width) / cols))
  const [top, bottom] = [row, row + 1].map((each) => Math.ceil((each * height) / rows))
  return [left, top, right - left, bottom - top]
}
