"""Slurm, sshd and a WebDAV server on loopback: each in its own folder, on free ports, and stopped.

Nothing under /etc or /run is read or written, so a Slurm of the machine's own stays untouched.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = "127.0.0.1"


def free_ports(n):
    """Ports that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind((HERE, 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(done, what, seconds=30):
    """Ask `done` until it says yes.

    Raises:
        TimeoutError: naming `what`, if it never does.
    """
    end = time.monotonic() + seconds
    while not (value := done()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} not within {seconds} s")
        time.sleep(0.1)
    return value


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex((HERE, port)) == 0


def processes_in(namespace):
    """The processes of a mount namespace, zombies left out."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it just ended
            if os.readlink(folder / "ns" / "mnt") == namespace:
                yield int(folder.name)


class Services:
    """Processes that end with the `with` block, last one first, whole process groups."""

    def __init__(self, folder):
        self.folder = folder
        self.running = {}

    def __enter__(self):
        self.folder.mkdir(parents=True)
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self):
        """Start the processes and wait until they serve."""
        raise NotImplementedError

    def __exit__(self, *_):
        for name in reversed(list(self.running)):
            self.stop(name)

    def start(self, name, *command, **options):
        with open(self.folder / f"{name}.out", "a") as out:
            self.running[name] = subprocess.Popen(
                # Should this process be killed, its services end as well.
                ["setpriv", "--pdeathsig", "TERM", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )

    def stop(self, name, how=signal.SIGTERM):
        process = self.running.pop(name)
        for sign in (how, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
                break


class Slurm(Services):
    """munged, slurmctld and one slurmd for each of two nodes; `environment` leads clients here."""

    NODES = ("node1", "node2")
    # Times are as short as Slurm takes them, so that a lost node shows within seconds. Two nodes
    # on one host need ports, spool folders and pid files of their own (%n).
    CONFIG = """
        ClusterName=test
        SlurmctldHost={host}(127.0.0.1)
        SlurmctldPort={ports[0]}
        SlurmUser=root
        SlurmdUser=root
        AuthType=auth/munge
        AuthInfo=socket={folder}/munge.socket
        CredType=cred/munge
        StateSaveLocation={folder}/state
        SlurmdSpoolDir={folder}/spool.%n
        SlurmctldPidFile={folder}/slurmctld.pid
        SlurmdPidFile={folder}/slurmd.%n.pid
        ProctrackType=proctrack/linuxproc
        TaskPlugin=task/none
        SelectType=select/cons_tres
        SelectTypeParameters=CR_Core_Memory
        SchedulerParameters=sched_interval=1,batch_sched_delay=0
        SlurmdParameters=config_overrides
        ReturnToService=2
        MpiDefault=none
        MinJobAge=3600
        KillWait=2
        SlurmdTimeout=10
        AccountingStorageType=accounting_storage/none
        JobAcctGatherType=jobacct_gather/none
        NodeName=DEFAULT CPUs=4 RealMemory=12000
        NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} Weight=1
        NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} Weight=2
        PartitionName=main Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
    """

    def begin(self):
        self.folder.chmod(0o755)
        config = self.folder / "etc" / "slurm.conf"
        config.parent.mkdir()
        text = self.CONFIG.format(
            host=socket.gethostname(), ports=free_ports(3), folder=self.folder
        )
        config.write_text("\n".join(line.strip() for line in text.splitlines()))
        (self.folder / "state").mkdir()
        self.environment = {"SLURM_CONF": str(config)}
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        options = {
            "key-file": key,
            "socket": self.folder / "munge.socket",
            "pid-file": self.folder / "munge.pid",
            "log-file": self.folder / "munge.log",
            "seed-file": self.folder / "munge.seed",
        }
        # --force: the folders above a temporary one are writable to all.
        self.start(
            "munged",
            "munged",
            "--foreground",
            "--force",
            *(f"--{k}={v}" for k, v in options.items()),
        )
        wait_for(options["socket"].exists, "munged's socket")
        self.start("slurmctld", "slurmctld", "-D", "-f", config)
        for node in self.NODES:
            self.start_node(node)
        wait_for(lambda: set(self.states().values()) == {"IDLE"}, "idle nodes")

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.SubprocessError, TimeoutError):
            self.client("scancel", "--user=root")
            wait_for(lambda: not self.client("squeue", "--noheader"), "the end of all jobs", 10)
        for node in self.running.keys() & set(self.NODES):
            self.crash(node)  # with whatever a job has left behind
        super().__exit__()

    def start_node(self, node):
        """A node that sees our configuration where Slurm's clients look for it.

        Snakemake keeps SLURM_CONF from a job's `srun`, so slurmd and its jobs get an /etc/slurm of
        their own: a bind mount in their mount namespace alone.
        """
        config = self.environment["SLURM_CONF"]
        mounted = "mkdir -p /etc/slurm && mount --bind $0 /etc/slurm && exec slurmd -D -N $1"
        self.start(node, "unshare", "--mount", "sh", "-c", mounted, Path(config).parent, node)

    def crash(self, node):
        """What a power cut does to a node: its slurmd, job managers and jobs end without a word.

        They are the processes of the node's own mount namespace.
        """
        namespace = os.readlink(f"/proc/{self.running[node].pid}/ns/mnt")
        if namespace != os.readlink("/proc/self/ns/mnt"):
            while inside := list(processes_in(namespace)):
                for process in inside:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                time.sleep(0.1)
        self.stop(node, signal.SIGKILL)

    def client(self, *command):
        """What a Slurm command prints."""
        environment = os.environ | self.environment
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=30
        ).stdout

    def states(self):
        """Node → state."""
        try:
            lines = self.client("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        except subprocess.CalledProcessError:
            return {}
        return {name: state.upper() for name, state in map(str.split, lines)}

    def jobs(self):
        """The rows of `squeue`, finished jobs included: id, state, node, comment."""
        lines = self.client(
            "squeue", "--noheader", "--states=all", "--format=%i|%T|%N|%k|%l"
        ).splitlines()
        return [
            dict(zip(("id", "state", "node", "comment", "limit"), line.split("|"), strict=True))
            for line in lines
        ]


class Ssh(Services):
    """sshd for one key, which `home` holds as a user's .ssh would, host key included."""

    kind = "ssh"

    def __init__(self, folder, home):
        super().__init__(folder)
        self.home = home

    def begin(self):
        (port,) = free_ports(1)
        keys = self.home / ".ssh"
        keys.mkdir(mode=0o700)
        for key in (self.folder / "host", keys / "id_ed25519"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=30
            )
        public = (self.folder / "host.pub").read_text()
        (keys / "known_hosts").write_text(f"[{HERE}]:{port} {public}")
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on this empty folder
        options = {
            "ListenAddress": HERE,
            "Port": port,
            "HostKey": self.folder / "host",
            "PidFile": self.folder / "pid",
            "AuthorizedKeysFile": keys / "id_ed25519.pub",
            "StrictModes": "no",  # of the folders above a temporary one
            "PermitRootLogin": "yes",
            "UsePAM": "no",
            "Subsystem": "sftp internal-sftp",
        }
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        self.start("sshd", "/usr/sbin/sshd", "-D", "-e", "-f", config)
        wait_for(lambda: listens(port), "sshd")
        self.store = self.folder / "store"
        self.store.mkdir()
        self.url = f"ssh://root@{HERE}:{port}{self.store}"


class WebDav(Services):
    """wsgidav on a folder; `packages` is where it is installed."""

    kind = "WebDAV"

    def __init__(self, folder, packages):
        super().__init__(folder)
        self.packages = packages

    def begin(self):
        (port,) = free_ports(1)
        root = self.folder / "root"
        self.store = root / "store"
        self.store.mkdir(parents=True)
        self.start(
            "wsgidav",
            *(sys.executable, "-m", "wsgidav.server.server_cli", "--host", HERE, "--port", port),
            *("--root", root, "--auth", "anonymous", "--server", "cheroot"),
            env=os.environ | {"PYTHONPATH": str(self.packages)},
            cwd=self.folder,
        )
        wait_for(lambda: listens(port), "wsgidav")
        self.url = f"webdav://{HERE}:{port}/store"
