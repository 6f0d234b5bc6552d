#!/usr/bin/env bash
# Try a registered version beside the champion and let the judge decide.
#
#   deploy_canary.sh MODEL VERSION WEIGHT METRICS_URL...
#
# WINDTUNNEL_REGISTRY names the registry; JUDGE_SECONDS bounds the trial (an hour), JUDGE_ARGS
# are further options of `windtunnel canary judge`, GENERATION_FILE is given the registry's
# generation once the canary runs. Ends with 0 when the version was promoted, with 14 when it was
# withdrawn; whatever else goes wrong, the canary is stopped, unless somebody else has changed
# since what serves.
set -euo pipefail

: "${WINDTUNNEL_REGISTRY:?names the registry}"
model=$1 version=$2 weight=$3
shift 3

metrics=()
for url in "$@"; do
  metrics+=(--metrics "$url")
done
read -r -a options <<<"${JUDGE_ARGS:-}"

generation=
# shellcheck disable=SC2329  # the trap calls it
stop() {
  if [ -n "$generation" ]; then
    windtunnel canary stop "$model" --generation "$generation" --who deployment \
      --reason "the deployment ended early" || true
  fi
}
trap stop EXIT

told=$(windtunnel canary start "$model" "$version" --weight "$weight" --who deployment \
  --reason "${REASON:-deployment}")
generation=${told##*generation }
printf '%s\n' "$told"
if [ -n "${GENERATION_FILE:-}" ]; then
  printf '%s\n' "$generation" >"$GENERATION_FILE"
fi
code=0
timeout --signal=INT "${JUDGE_SECONDS:-3600}" \
  windtunnel canary judge "$model" "${metrics[@]}" "${options[@]}" || code=$?
if [ "$code" = 0 ] || [ "$code" = 14 ]; then
  generation=
fi
windtunnel history "$model"
exit "$code"
