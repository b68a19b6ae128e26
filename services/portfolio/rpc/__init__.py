"""The calls that portfolio answers: translate, call, translate."""
