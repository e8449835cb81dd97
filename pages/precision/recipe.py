"""A network in shorter number formats. Run it in Vitrine's folder: python precision.py"""

from typing import Any

from core.data.catalogue import sample_images
from core.data.examples import EXAMPLES, load_example
from core.data.images import image_digest
from core.data.pictures import open_picture
from core.data.transforms import to_batch
from core.device import pick_device
from core.methods.clip.zero_shot import text_classifier
from core.methods.precision.agreement import agreement
from core.methods.precision.memory_profile import memory_profile
from core.methods.precision.precision import FORMATS as KNOWN
from core.methods.precision.precision import ZeroShotNetwork, cast, forward, logits_in, measure_latencies
from core.models.weights import load
from core.reports import finish

# --- Settings ---
MODEL = "vit_p4"
IMAGE = "example:coffee"  # or data:DATASET/SPLIT/SEED/PLACE, or the file of a picture
FORMATS = ["bf16"]  # beside fp32
BATCH_SIZE = 1
LABELS: list[str] = []  # what a model of images and texts chooses from
DEVICE = "auto"
COMPARED = "examples"  # or DATASET/SPLIT, of which COUNT random images are taken; "images": these; "": the image alone
IMAGES: list[str] = []
COUNT = 32
# --- End of settings ---

model, image = load(MODEL), open_picture(IMAGE)
network: Any = model.module
if LABELS:
    network = ZeroShotNetwork.of(network, text_classifier(network, LABELS, ("a photo of a {}.",)))
others = []
if COMPARED == "examples":
    others = [load_example(each) for each in EXAMPLES]
elif COMPARED == "images":
    others = [open_picture(each) for each in IMAGES]
elif COMPARED:
    data, _, split = COMPARED.partition("/")
    others = [each for each, _ in sample_images(data, split, COUNT, 0)]
others = [each for each in others if image_digest(each) != image_digest(image)]
compared = to_batch([image, *others], model.network.preprocessing)
device = pick_device(DEVICE)
formats = [KNOWN[each] for each in ("fp32", *FORMATS)]
images = compared[:1].repeat(BATCH_SIZE, 1, 1, 1)
timing = finish(measure_latencies(network, images, formats, device=device, runs=20))
print(timing.plan.conditions.sentence())
for left_out in timing.plan.left_out.values():
    print(left_out)
reference = logits_in(cast(network, formats[0], device), compared, formats[0])
for number_format in formats:
    if number_format.name not in timing.latencies:
        continue
    found = timing.latencies[number_format.name]
    copied = cast(network, number_format, device)
    memory = memory_profile(copied, forward(copied, images, number_format), device)
    same = agreement(reference, logits_in(copied, compared, number_format))
    print(
        f"{number_format.title}: median {found.median:.2f} ms, mean {found.mean:.2f} ± {found.std:.2f} ms, "
        f"{memory.total_mib:.1f} MiB, same answer on {same.same_answer.sum()} of {len(same)}, "
        f"largest |Δp| {same.max_difference.max():.2g}"
    )
