#!/usr/bin/env bash
# A Slurm of one node on loopback, without systemd, for the tests: bash slurm_up.sh DIR; as root; end it with slurm_down.sh.
# Then: export SLURM_CONF=DIR/slurm.conf PATH=DIR/bin:$PATH
set -euo pipefail
S=$1
if ! { command -v munged && command -v slurmctld && command -v slurmd && command -v srun; } >/dev/null; then
  {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends munge slurmctld slurmd slurm-client
  } >/dev/null
fi
mkdir -p "$S"/{run,state,spool,bin}
chmod 755 "$S" "$S/run" # mktemp makes a private folder, and munged wants its socket within reach of everybody
grep -qw "$(hostname -s)" /etc/hosts || echo "127.0.0.1 $(hostname -s)" >>/etc/hosts
(umask 077 && head -c 128 /dev/urandom >"$S/munge.key")
cat >"$S/slurm.conf" <<C
ClusterName=ci
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
# The default of 120 s is how long a requeued job waits.
AuthInfo=socket=$S/run/munge.sock,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$S/state
SlurmdSpoolDir=$S/spool
SlurmctldPidFile=$S/run/slurmctld.pid
SlurmdPidFile=$S/run/slurmd.pid
SlurmctldLogFile=$S/slurmctld.log
SlurmdLogFile=$S/slurmd.log
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
ReturnToService=2
MinJobAge=86400
KillWait=2
MailProg=/bin/true
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=localhost NodeAddr=127.0.0.1 CPUs=4 RealMemory=2000
PartitionName=debug Nodes=ALL Default=YES PriorityTier=1 GraceTime=20
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
C
# submitit reads states from sacct, which needs a database of accounts; this stand-in asks the controller.
printf '%s\n' '#!/bin/sh' "echo 'JobID|State|NodeList'; exec squeue -r -t all -h -o '%i|%T|%N'" >"$S/bin/sacct"
chmod +x "$S/bin/sacct"
export SLURM_CONF=$S/slurm.conf
munged --key-file="$S/munge.key" --socket="$S/run/munge.sock" --pid-file="$S/run/munged.pid" \
  --log-file="$S/munged.log" --seed-file="$S/run/munged.seed"
slurmctld -c
slurmd
for _ in $(seq 100); do
  [ "$(timeout 2 sinfo -h -p debug -o %t 2>/dev/null)" = idle ] && exit 0
  sleep 0.1
done
echo "Slurm did not become idle:" >&2
tail -n 5 "$S/slurmctld.log" "$S/slurmd.log" >&2
exit 1
