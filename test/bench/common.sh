# What the benches share; to be sourced.
# shellcheck shell=bash

# One process and one thread, whatever the server's settings.
export PGOPTIONS='-c client_min_messages=warning -c max_parallel_workers_per_gather=0 -c max_parallel_maintenance_workers=0'

run_sql() {
	psql -X -q -v ON_ERROR_STOP=1 "$@"
}

# A python3 that can import torch, or nothing.
find_python() {
	local python
	for python in ${PYTHON:-python3 /usr/bin/python3}; do
		if "$python" -c 'import torch' 2>/dev/null; then
			echo "$python"
			return
		fi
	done
}

# How the version of PyTorch is told; $1: what find_python found.
torch_version() {
	if [ -n "$1" ]; then
		"$1" -c 'import torch; print(torch.__version__)'
	else
		echo 'not installed; for the comparison: apt-get install -y python3-torch'
	fi
}

cpu_name() {
	local name
	name=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1) || true
	echo "${name:-unknown}"
}

load_average() {
	cut -d ' ' -f 1-3 /proc/loadavg
}
