PYTHON ?= python3.11
BIN := .venv/bin
PROTOS := $(shell find protos/neuraltrader -name '*.proto' 2>/dev/null)
GENERATED := libs/generated

proto:  ## Generate the Python code of the contracts
	rm -rf $(GENERATED)/neuraltrader
	mkdir -p $(GENERATED)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc --proto_path=protos \
		--python_out=$(GENERATED) --grpc_python_out=$(GENERATED) \
		--mypy_out=quiet:$(GENERATED) --mypy_grpc_out=quiet,only_async:$(GENERATED) $(PROTOS)
