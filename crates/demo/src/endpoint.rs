//! The five metrics endpoints of a Cilium node.

/// A metrics endpoint, with the port Cilium gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// The agent, port 9962.
    Agent,
    /// The operator, port 9963.
    Operator,
    /// The Envoy proxy, port 9964.
    Envoy,
    /// Hubble's flow metrics, served by the agent's process, port 9965.
    Hubble,
    /// The Hubble relay, port 9966.
    Relay,
}

impl Endpoint {
    /// All endpoints in the order of their ports.
    pub const ALL: [Self; 5] = [Self::Agent, Self::Operator, Self::Envoy, Self::Hubble, Self::Relay];

    /// The job under which skep collects it.
    pub fn job(self) -> &'static str {
        match self {
            Self::Agent => "cilium-agent",
            Self::Operator => "cilium-operator",
            Self::Envoy => "cilium-envoy",
            Self::Hubble => "hubble",
            Self::Relay => "hubble-relay",
        }
    }

    /// The port on which Cilium serves it.
    pub fn port(self) -> u16 {
        9962 + self.index() as u16
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The process whose start sets its counters to zero.
    pub(crate) fn process(self) -> Process {
        match self {
            Self::Agent | Self::Hubble => Process::Agent,
            Self::Operator => Process::Operator,
            Self::Envoy => Process::Envoy,
            Self::Relay => Process::Relay,
        }
    }
}

/// What counters live in: they start at zero when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Agent,
    Operator,
    Envoy,
    Relay,
    /// The kernel: pinned BPF maps outlive the agent.
    Kernel,
}
