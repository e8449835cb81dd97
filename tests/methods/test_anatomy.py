import warnings
from collections.abc import Callable

import pytest
import timm
import torch
import torchvision
import transformers
from torch import nn

from core.figures.anatomy import plot_anatomy, plot_layers, plot_roles
from core.methods.anatomy.anatomy import anatomy, describe_architecture, text_tensors
from core.methods.anatomy.parts import FACTS, ROLES, compare_anatomy
from core.models.differential import DifferentialViT
from core.models.small_cnn import SmallCNN, SmallCNNConfig
from core.models.vit import ViT, ViTConfig

TINY = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
SMALL = ViTConfig(image_size=16, patch_size=4, embed_dim=32, depth=3, num_heads=2)


class Bottleneck(nn.Module):
    """A residual block as CLIP's ResNet builds it: strides are an average pooling before a convolution."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)


class AttentionPool(nn.Module):
    def __init__(self, patches: int, width: int, output: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(patches + 1, width))
        self.k_proj, self.q_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, output)
        self.num_heads = 4


class ClipResNet(nn.Module):
    """CLIP's image tower in small, under open_clip's names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv3, self.bn3 = nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.avgpool = nn.AvgPool2d(2)
        self.layer1 = nn.Sequential(Bottleneck(16, 16, 1), Bottleneck(64, 16, 1))
        self.layer2 = nn.Sequential(Bottleneck(64, 32, 2))
        self.attnpool = AttentionPool(49, 128, 24)


class OpenClip(nn.Module):
    """The layout of open_clip: the text tower lies at the top level."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = ClipResNet()
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(TextBlock(20) for _ in range(2))
        self.token_embedding = nn.Embedding(11, 20)
        self.positional_embedding = nn.Parameter(torch.zeros(7, 20))
        self.ln_final = nn.LayerNorm(20)
        self.text_projection = nn.Parameter(torch.zeros(20, 24))
        self.logit_scale = nn.Parameter(torch.zeros([]))


class TextBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 4)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class OldNames(nn.Module):
    """Attention and MLP as transformers named them before version 5."""

    def __init__(self, width: int) -> None:
        super().__init__()

        def holder(**parts: nn.Module) -> nn.Module:
            module = nn.Module()
            for name, part in parts.items():
                module.add_module(name, part)
            return module

        def linear(inputs: int, outputs: int) -> nn.Linear:
            return nn.Linear(inputs, outputs)

        layer = holder(
            attention=holder(
                attention=holder(query=linear(width, width), key=linear(width, width), value=linear(width, width)),
                output=holder(dense=linear(width, width)),
            ),
            intermediate=holder(dense=linear(width, 2 * width)),
            output=holder(dense=linear(2 * width, width)),
        )
        self.encoder = holder(layer=nn.ModuleList([layer]))


def _clip() -> nn.Module:
    text = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    text |= {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**TINY, "intermediate_size": 64}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))


def _weightless(build: Callable[..., nn.Module], **options: int) -> nn.Module:
    """No values are looked at, and meta tensors make even VGG free."""
    with torch.device("meta"):
        return build(**options)


MODELS = {
    "vit": lambda: ViT(SMALL),
    "vit_learned_2d": lambda: ViT(ViTConfig(**{**vars(SMALL), "positional": "learned_2d"})),
    "differential_vit": lambda: DifferentialViT(SMALL),
    "transformers_vit": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(**TINY, intermediate_size=64)
    ),
    "deit": lambda: transformers.DeiTForImageClassificationWithTeacher(
        transformers.DeiTConfig(**TINY, intermediate_size=64)
    ),
    "dinov2": lambda: transformers.Dinov2ForImageClassification(transformers.Dinov2Config(**TINY)),
    "clip": _clip,
    "timm_vit": lambda: timm.create_model("test_vit"),
    "timm_efficientnet": lambda: timm.create_model("test_efficientnet"),
    "resnet50": lambda: _weightless(torchvision.models.resnet50),
    "vgg11": lambda: _weightless(torchvision.models.vgg11, num_classes=10),
    "efficientnet_b0": lambda: _weightless(torchvision.models.efficientnet_b0),
    "torchvision_vit": lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 32, 64, num_classes=5),
    "open_clip": OpenClip,
    "old_names": lambda: OldNames(8),
}


@pytest.fixture(scope="module")
def built() -> dict[str, nn.Module]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: build() for name, build in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_counted_once_and_has_a_role(built, name):
    result = anatomy(built[name])
    total = sum(parameter.numel() for parameter in built[name].parameters())
    assert result.total == total
    assert sum(result.by_role().values()) == total
    by_layer = [result.by_layer(tower) for tower in ("vision", "text")]
    assert sum(sum(roles.values()) for layers in by_layer for roles in layers.values()) == total
    assert {row.role for row in result.rows} <= set(ROLES)
    assert set(result.facts) <= set(FACTS)
    assert result.facts["parameters"] == total
    unknown = {row.path for row in result.rows if row.inner_role == "other"}
    assert unknown <= {"dinov2.embeddings.mask_token", "logit_scale"}


@pytest.mark.parametrize(
    "name",
    ["vit", "differential_vit", "transformers_vit", "deit", "dinov2", "timm_vit", "torchvision_vit"],
)
def test_every_block_of_a_vit_has_all_its_parts(built, name):
    result = anatomy(built[name])
    layers = {layer: roles for layer, roles in result.by_layer().items() if layer is not None}
    assert sorted(layers) == list(range(result.facts["depth"]))
    width, mlp_width = result.facts["width"], result.facts["mlp_width"]
    for roles in layers.values():
        for role in ("query", "key", "value", "output projection"):
            assert roles[role] == width**2
        assert roles["MLP"] == 2 * width * mlp_width
        assert roles["norm"] >= 4 * width
    assert result.facts["pooling"].startswith("class token")


def test_facts_of_our_vits(built):
    facts = describe_architecture(built["vit"])
    expected = {"kind": "transformer", "depth": 3, "width": 32, "heads": 2, "patch_size": 4, "mlp_width": 64}
    assert expected.items() <= facts.items()
    assert facts["output_dim"] == 10
    assert facts["activation"] == "GELU"
    assert facts["attention"] == "softmax"
    assert describe_architecture(ViT(ViTConfig(**{**vars(SMALL), "pooling": "mean"})))["pooling"] == "mean"


def test_differential_attention_is_named_and_its_lambdas_counted(built):
    result = anatomy(built["differential_vit"])
    head_dim = 32 // (2 * 2)
    assert result.by_role()["lambda"] == 3 * 4 * head_dim
    comparison = compare_anatomy(anatomy(built["vit"]), result)
    topics = {difference.topic: difference for difference in comparison.differences}
    assert topics["Attention"].sentence == "Attention: softmax against difference of two softmax maps."
    assert topics["Parameters: lambda"].second == 3 * 4 * head_dim
    assert {pair.role for pair in comparison.rows if pair.differs} == {"lambda", "norm"}
    assert sum(pair.first for pair in comparison.roles) == anatomy(built["vit"]).total


def test_fused_weights_are_split_in_order(built):
    rows = {row.path: row for row in anatomy(built["vit"]).rows}
    key = rows["blocks.1.attention.qkv.weight[32:64]"]
    assert (key.role, key.layer, key.part, key.shape, key.parameters) == ("key", 1, "blocks.1", (32, 32), 1024)
    assert rows["blocks.1.attention.qkv.bias"].role == "bias"
    rows = {row.path: row for row in anatomy(built["torchvision_vit"]).rows}
    assert rows["encoder.layers.encoder_layer_1.self_attention.in_proj_weight[64:96]"].role == "value"


def test_learned_2d_positions_and_prefixes(built):
    assert anatomy(built["vit_learned_2d"]).by_role()["positional"] == (4 + 4) * 16 + 32
    assert anatomy(built["deit"]).by_role()["class token"] == 2 * 32
    assert anatomy(built["dinov2"]).by_role()["layer scale"] == 3 * 2 * 32
    assert describe_architecture(built["dinov2"])["pooling"] == "class token and mean patch"


def test_both_towers_of_clip_are_read_from_the_module(built):
    facts = describe_architecture(built["clip"])
    expected = {"depth": 3, "width": 32, "text_depth": 2, "text_width": 24, "vocabulary": 50, "output_dim": 16}
    assert expected.items() <= facts.items()
    result = anatomy(built["clip"])
    text = sum(parameter.numel() for parameter in built["clip"].text_model.parameters()) + 24 * 16
    assert result.by_role()["text tower"] == text
    assert result.by_layer("text")[1]["query"] == 24 * 24


def test_an_open_clip_layout_has_two_towers(built):
    result = anatomy(built["open_clip"])
    visual = sum(parameter.numel() for parameter in built["open_clip"].visual.parameters())
    assert result.by_role()["text tower"] == result.total - visual - 1
    assert result.by_layer("text")[0]["MLP"] == 2 * 20 * 80
    assert {"text_depth": 2, "text_width": 20, "text_heads": 4, "vocabulary": 11}.items() <= result.facts.items()


def test_what_clip_changed_in_its_resnet_is_named(built):
    ours, theirs = anatomy(built["open_clip"].visual), anatomy(built["resnet50"])
    assert ours.facts["stem"] == "3 convolutions (3×3 stride 2, 3×3, 3×3)"
    assert theirs.facts["stem"] == "1 convolution (7×7 stride 2)"
    assert (ours.facts["stem_pooling"], theirs.facts["stem_pooling"]) == ("average pooling", "max pooling")
    assert "anti-aliased" in ours.facts["downsampling"]
    assert theirs.facts["downsampling"] == "strided convolutions"
    assert (ours.facts["pooling"], theirs.facts["pooling"]) == ("attention pooling", "global average")
    assert (ours.facts["output_dim"], theirs.facts["output_dim"]) == (24, 1000)
    topics = [difference.topic for difference in compare_anatomy(ours, theirs).differences]
    assert {"Stem", "Downsampling", "Pooling", "Output dimension"} <= set(topics)
    assert topics.index("Stem") < topics.index("Parameters: query")


def test_facts_of_convolutional_networks(built):
    resnet = describe_architecture(built["resnet50"])
    assert {"kind": "convolutional", "depth": 16, "width": 2048, "norm": "BatchNorm2d"}.items() <= resnet.items()
    assert "heads" not in resnet
    assert "patch_size" not in resnet
    vgg = describe_architecture(built["vgg11"])
    assert {"depth": 8, "downsampling": "max pooling", "output_dim": 10}.items() <= vgg.items()
    assert vgg["pooling"] == "average to 7×7, then flattened"
    assert describe_architecture(built["efficientnet_b0"])["activation"] == "SiLU"


def test_old_transformers_names(built):
    roles = anatomy(built["old_names"]).by_role()
    assert roles == {
        "query": 64, "key": 64, "value": 64, "output projection": 64, "MLP": 256, "bias": 4 * 8 + 16 + 8
    }  # fmt: skip


def test_shared_weights_are_counted_once():
    module = nn.ModuleDict({"a": nn.Linear(4, 4, bias=False)})
    module["b"] = module["a"]
    assert anatomy(module).total == 16


def test_a_model_does_not_differ_from_itself(built):
    comparison = compare_anatomy(anatomy(built["clip"]), anatomy(built["clip"]))
    assert comparison.differences == ()
    assert not any(pair.differs for pair in (*comparison.rows, *comparison.roles))


def test_the_small_cnn_has_as_many_blocks_as_its_stages_hold():
    module = SmallCNN(SmallCNNConfig(image_size=16, width=8, stages=3, blocks=1, classes=4))
    result = anatomy(module)
    assert result.facts["depth"] == 3  # what widens a stage before its blocks is none of them
    assert describe_architecture(SmallCNN(SmallCNNConfig(image_size=16, width=8, stages=3, blocks=2)))["depth"] == 6
    titles = {row.part: row.title for row in result.rows}
    assert titles["stages.0"] == "stage 1"
    assert titles["stages.2.blocks.0"] == "block 3"
    assert (titles["stem"], titles["head"]) == ("stem", "head")


def test_blocks_are_counted_from_one_wherever_they_are_read(built):
    for name in ("vit", "open_clip"):
        result = anatomy(built[name])
        blocks = {row.title for row in result.rows if row.layer is not None and row.tower == "vision"}
        assert blocks == {f"block {number + 1}" for number in range(result.facts["depth"])}
        labels = set(plot_anatomy(result, "Model").data[0].labels)
        assert blocks <= labels
        assert not {row.part for row in result.rows if row.layer is not None} & labels  # "blocks.0" beside "block 1"
        assert min(min(bar.x) for bar in plot_layers(result).data) == 1


def test_a_role_has_one_colour_in_the_tree_and_in_the_bars(built):
    result = anatomy(built["open_clip"])
    tree, bars = plot_anatomy(result, "Model").data[0], plot_roles(result).data[0]
    drawn = dict(zip(bars.y, bars.marker.color, strict=True))
    seen: dict[str, set[str]] = {}
    for label, colour in zip(tree.labels, tree.marker.colors, strict=True):
        if label in drawn:
            seen.setdefault(label, set()).add(colour)
    assert seen == {role: {colour} for role, colour in drawn.items()}


def test_the_tensors_of_the_text_tower_are_those_that_images_do_not_pass(built):
    clip = built["open_clip"]
    assert text_tensors(clip) == {
        name
        for name, _ in clip.named_parameters()
        if not name.startswith("visual.") and name != "logit_scale"
    }  # fmt: skip
    assert not text_tensors(built["vit"])
