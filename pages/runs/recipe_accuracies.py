"""Accuracy of models × data sets from finished runs. Run it in Vitrine's folder: python accuracies.py"""

from core.experiments.accuracies import accuracy_table
from core.figures.accuracies import plot_accuracies, sentence

# --- Settings ---
# Lines of the table that are shown.
ROWS = ["ViT on CIFAR-10 · trained", "Small CNN on CIFAR-10 · trained", "Small CLIP · zero-shot"]
# --- End of settings ---

cells = {place: each for place, each in accuracy_table().cells.items() if place[0] in ROWS}
for (row, dataset), each in cells.items():
    print(f"{row} on {dataset}: {sentence(each)}")
plot_accuracies(cells).write_html("accuracies.html")
