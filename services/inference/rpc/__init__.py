"""The calls that inference answers: translate, call, translate."""
