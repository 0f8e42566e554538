#!/bin/sh
# Writes .env for docker-compose.yml: deploy/.env.example with a random value for each empty setting.
# An existing .env is left alone: its passwords are those of the existing volumes.
set -eu
cd "$(dirname "$0")/.."
target=${1:-.env}
if [ -e "$target" ]; then
    echo "$target exists and is left as it is." >&2
    exit 1
fi
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
beside=$(mktemp "$target.XXXXXX")
trap 'rm -f "$beside"' EXIT
while IFS= read -r line; do
    case $line in
        [A-Z]*=) printf '%s%s\n' "$line" "$(random)" ;;
        *) printf '%s\n' "$line" ;;
    esac
done < deploy/.env.example > "$beside"
ln "$beside" "$target" # fails if another run was faster
echo "$target is written. The administrator's password is in it: TONGYING_ADMIN_PASSWORD."
