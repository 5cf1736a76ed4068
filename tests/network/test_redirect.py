"""Redirected ReLU gradients: the published truth table, and only for items that need them (Lucid)."""

import torch
from torch import nn

from retinoscope.network.redirect import redirected, relu_gradient


def test_truth_table_of_relu_and_relu6() -> None:
    x = torch.tensor([[-1.0, -1.0, 7.0, 7.0]])
    grad = torch.tensor([[1.0, -1.0, -1.0, 1.0]])  # of a loss to descend: -1 wants the input to rise
    on = torch.tensor([True])
    assert relu_gradient(x, grad, 6.0, on).tolist() == [[0, -1, 0, 1]]
    assert relu_gradient(x[:, :2], grad[:, :2], float("inf"), on).tolist() == [[0, -1]]
    assert relu_gradient(x, grad, 6.0, ~on).tolist() == [[0, 0, 0, 0]]


def test_an_alive_item_keeps_its_plain_gradient_beside_a_dead_one() -> None:
    conv = nn.Conv2d(1, 1, 1, bias=False)
    conv.weight.data.fill_(1)
    net = nn.Sequential(conv, nn.ReLU())
    x = torch.stack([torch.full((1, 2, 2), -1.0), torch.tensor([[[1.0, -1.0], [2.0, -2.0]]])]).requires_grad_()
    with redirected(net) as redirect:
        redirect.items = torch.tensor([True, True])
        (-net(x).sum()).backward()
    assert x.grad is not None
    assert x.grad[0].unique().tolist() == [-1], "dead item: let through, it pushes the input up"
    assert x.grad[1].flatten().tolist() == [-1, 0, -1, 0], "alive item: plain"


def test_off_and_afterwards_gradients_are_plain() -> None:
    net = nn.Sequential(nn.ReLU())
    x = torch.full((1, 1, 2, 2), -1.0, requires_grad=True)
    with redirected(net):
        (-net(x).sum()).backward()
    (-net(x).sum()).backward()
    assert x.grad is not None
    assert x.grad.abs().max() == 0
    assert "forward" not in vars(net[0])
