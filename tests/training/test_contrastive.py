import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from open_clip.loss import ClipLoss, SigLipLoss

from core.data.captions import caption_table
from core.training.batches import Batch
from core.training.contrastive import Contrastive, class_vectors, sigmoid_losses, softmax_losses

PAIRS = 6


def _features(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return F.normalize(torch.randn(PAIRS, 5), dim=1), F.normalize(torch.randn(PAIRS, 5), dim=1)


def _truth(seed: int) -> torch.Tensor:
    """Any truths with a true diagonal."""
    random = np.random.default_rng(seed)
    truth = random.choice([1, 0, 0, -1], size=(PAIRS, PAIRS)).astype(np.int8)
    np.fill_diagonal(truth, 1)
    return torch.from_numpy(truth)


def test_without_coinciding_captions_it_is_clips_loss():
    images, texts = _features(0)
    losses = softmax_losses(14.3 * images @ texts.T, torch.eye(PAIRS, dtype=torch.int8))
    assert losses.mean().item() == pytest.approx(ClipLoss()(images, texts, 14.3).item(), rel=1e-5)


def test_without_coinciding_captions_it_is_siglips_loss():
    images, texts = _features(0)
    losses = sigmoid_losses(10 * images @ texts.T - 7, torch.eye(PAIRS, dtype=torch.int8))
    assert losses.mean().item() == pytest.approx(SigLipLoss()(images, texts, 10.0, -7.0).item(), rel=1e-5)


@pytest.mark.parametrize("losses", [softmax_losses, sigmoid_losses])
@given(seed=st.integers(0, 1000))
def test_the_order_of_pairs_does_not_matter(losses, seed):
    torch.manual_seed(seed)
    logits, truth, order = torch.randn(PAIRS, PAIRS), _truth(seed), torch.randperm(PAIRS)
    shuffled = losses(logits[order][:, order], truth[order][:, order])
    torch.testing.assert_close(shuffled, losses(logits, truth)[order])


@pytest.mark.parametrize("losses", [softmax_losses, sigmoid_losses])
@given(seed=st.integers(0, 1000))
def test_what_one_cannot_know_has_no_say(losses, seed):
    torch.manual_seed(seed)
    logits, truth = torch.randn(PAIRS, PAIRS, requires_grad=True), _truth(seed)
    losses(logits, truth).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[truth < 0] == 0).all()


def test_a_true_caption_of_another_pair_is_not_pushed_away():
    logits = torch.zeros(3, 3, requires_grad=True)
    truth = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.int8)
    for losses in (softmax_losses, sigmoid_losses):
        logits.grad = None
        losses(logits, truth).sum().backward()
        assert (logits.grad[truth == 1] < 0).all()  # a step against the gradient raises them
        assert (logits.grad[truth == 0] > 0).all()


def test_oracle_with_two_positives():
    # Row 0 with logits (0, 0, ln 2): -(ln 1/4 + ln 1/4) / 2 = ln 4; column 0 (0, 0, 0): ln 3.
    logits = torch.tensor([[0, 0, np.log(2)], [0, 0, 0], [0, 0, 0]])
    truth = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.int8)
    assert softmax_losses(logits, truth)[0].item() == pytest.approx((np.log(4) + np.log(3)) / 2)


def test_the_objective_counts_any_true_caption_as_a_hit_and_repeats_itself():
    # All three images are near what the first says, and "cat" is true of a tabby, too.
    captions = caption_table(["cat", "n02123045", "truck"])
    ids = torch.arange(len(captions.texts))[:, None]
    objective = Contrastive(captions, ids, ids[:3, None], loss="softmax")
    batch = Batch(images=torch.zeros(3, 3, 8, 8), targets=torch.tensor([0, 1, 2]), count=3)
    features = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    seen = []

    def network(images, chosen):
        seen.append(chosen)
        return features, features, torch.tensor(1000.0)

    losses, hits = objective.losses(network, batch.images, batch, seed=3)
    again, _ = objective.losses(network, batch.images, batch, seed=3)
    objective.losses(network, batch.images, batch, seed=4)
    assert hits.tolist() == [True, True, True]
    assert torch.equal(losses, again)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert losses.max() < 100  # the scale is held at 100


def test_a_class_is_the_mean_direction_of_its_prompts():
    table = torch.tensor([[3.0, 0.0], [0.0, 1.0], [-2.0, 0.0]])
    model = torch.nn.Module()
    model.logit_scale = torch.nn.Parameter(torch.tensor(0.0))
    model.encode_text = lambda ids: table[ids[:, 0]]
    prompts = torch.tensor([[[0], [1]], [[2], [2]]])
    found = class_vectors(model, prompts, batch_size=3)
    torch.testing.assert_close(found, torch.tensor([[0.5**0.5, 0.5**0.5], [-1.0, 0.0]]))
