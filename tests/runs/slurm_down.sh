#!/usr/bin/env bash
# End what slurm_up.sh DIR started: each process by its pid file, its name checked.
S=$1
for file in "$S"/run/{slurmd,slurmctld,munged}.pid; do
  [ -f "$file" ] || continue
  pid=$(cat "$file")
  case $(cat "/proc/$pid/comm" 2>/dev/null) in
  slurmd | slurmctld | munged)
    kill "$pid"
    for _ in $(seq 100); do
      [ -d "/proc/$pid" ] || break
      sleep 0.1
    done
    ;;
  esac
done
