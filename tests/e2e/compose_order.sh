#!/usr/bin/env bash
# An order's journey through the composed fleet that is up: submitted, filled, told twice, and in the book.
#   docker compose up --build --wait && tests/e2e/compose_order.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

URL=${NEURAL_TRADER_URL:-http://127.0.0.1:${NT_GATEWAY_PORT:-8080}}
CLIENT_ORDER_ID=compose-$(date +%s%N)
ORDER='{"symbol":"AAPL","side":"BUY","quantity":"10","order_type":"MARKET","client_order_id":"'$CLIENT_ORDER_ID'"}'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{ printf 'Authorization: Bearer '; docker compose -f docker-compose.yml exec -T gateway cat /run/keys/admin.key; } >"$work/key"

# call STATUS METHOD PATH [curl's arguments…]: prints the body; fails when the status is another one
call() {
  local wanted=$1 method=$2 path=$3 status
  shift 3
  status=$(curl -sS -m 10 -o "$work/body" -w '%{http_code}' -X "$method" "$URL$path" "$@")
  [ "$status" = "$wanted" ] || { echo "$method $path: expected $wanted, was $status: $(cat "$work/body")" >&2; return 1; }
  cat "$work/body"
}

submit() { call "$1" POST /v1/orders -H "@$work/key" -H 'Content-Type: application/json' --data "$ORDER"; }

# held: the position in AAPL
held() {
  call 200 GET /v1/positions -H "@$work/key" | python3 -c '
import json, sys
from decimal import Decimal
print(sum((Decimal(row["quantity"]) for row in json.load(sys.stdin)["positions"] if row["symbol"] == "AAPL"), Decimal(0)))'
}

call 401 GET /v1/positions >/dev/null
before=$(held)

submit 201 >"$work/first"
submit 200 >"$work/again"
python3 - "$work/first" "$work/again" <<'CHECK'
import json
import sys
from decimal import Decimal
from pathlib import Path

first, again = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
validation, execution, total = (int(first[f"{part}_ns"]) for part in ("validation_time", "execution_time", "total_latency"))
assert first["status"] == "FILLED", first
assert Decimal(first["filled_quantity"]) == 10, first
assert Decimal(first["avg_price"]) > 0, first
assert validation > 0 and execution > 0 and total >= validation + execution, first
assert again["order_id"] == first["order_id"], (first, again)
print(f"filled 10 AAPL at {first['avg_price']} in {total / 1e6:.1f} ms")
CHECK

for _ in $(seq 50); do
  after=$(held)
  if python3 -c 'import sys; from decimal import Decimal as D; sys.exit(D(sys.argv[2]) - D(sys.argv[1]) != 10)' "$before" "$after"; then
    echo "the book holds $after AAPL, 10 more than before"
    exit 0
  fi
  sleep 0.1
done
echo "the book holds $after AAPL; expected 10 more than $before" >&2
exit 1
