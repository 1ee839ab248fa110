//! Names of the reasons for which the kernel drops packets.

use std::collections::HashMap;

use super::layout::CODE_UNKNOWN;
use crate::types::{self, Types, Variant};

/// The enum of the reasons that belong to no subsystem.
const CORE: &str = "skb_drop_reason";
const CORE_PREFIX: &str = "SKB_DROP_REASON_";
/// Enums of subsystems, such as `ovs_drop_reason`, end like this.
const SUBSYSTEM_SUFFIX: &str = "_drop_reason";
/// The number of the subsystem is in the upper half of a reason, 0 for the core.
const SUBSYSTEM_BITS: u32 = 16;

/// Names by number.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    names: HashMap<u32, String>,
}

impl Reasons {
    /// As the kernel has them; none where it is older than reasons.
    pub(super) fn of_kernel(types: &Types) -> Self {
        Self::from_variants(types.variants(|name| name == CORE), types.variants(is_subsystem))
    }

    fn from_variants(core: Vec<Variant>, subsystems: Vec<Variant>) -> Self {
        let mut reasons = Self::default();
        reasons.names.insert(CODE_UNKNOWN, "unknown".to_owned());
        for Variant { name, value } in core.into_iter().filter(|variant| variant.value >> SUBSYSTEM_BITS == 0) {
            let name = name.strip_prefix(CORE_PREFIX).unwrap_or(&name).to_lowercase();
            reasons.names.insert(value, name);
        }
        reasons.add_subsystems(subsystems);
        reasons
    }

    fn add_subsystems(&mut self, variants: Vec<Variant>) {
        for Variant { name, value } in variants.into_iter().filter(|variant| variant.value >> SUBSYSTEM_BITS != 0) {
            self.names.entry(value).or_insert_with(|| name.trim_start_matches('_').to_lowercase());
        }
    }

    /// The name of a reason. A number that is not known makes this look at the modules that are loaded by now, once.
    pub(super) fn name(&mut self, code: u32) -> String {
        if !self.names.contains_key(&code) {
            self.add_subsystems(types::variants_of_modules(is_subsystem).unwrap_or_default());
        }
        self.names.entry(code).or_insert_with(|| number_in_words(code)).clone()
    }
}

fn is_subsystem(name: &str) -> bool {
    name.ends_with(SUBSYSTEM_SUFFIX) && name != CORE
}

fn number_in_words(code: u32) -> String {
    match code >> SUBSYSTEM_BITS {
        0 => format!("reason_{code}"),
        subsystem => format!("subsystem_{subsystem}_reason_{}", code & ((1 << SUBSYSTEM_BITS) - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let variant = |name: &str, value| Variant { name: name.to_owned(), value };
        let core = vec![
            variant("SKB_CONSUMED", 1),
            variant("SKB_DROP_REASON_NOT_SPECIFIED", 2),
            variant("SKB_DROP_REASON_NETFILTER_DROP", 12),
            variant("SKB_DROP_REASON_SUBSYS_MASK", 0xffff_0000),
        ];
        let subsystems = vec![variant("OVS_DROP_LAST_ACTION", 0x2_0001), variant("OVS_DROP_BIT", 3)];
        let mut reasons = Reasons::from_variants(core, subsystems);
        let mut check = |code, expected: &str| assert_eq!(reasons.name(code), expected);
        check(2, "not_specified");
        check(12, "netfilter_drop");
        check(0x2_0001, "ovs_drop_last_action");
        check(CODE_UNKNOWN, "unknown");
        check(3, "reason_3");
        check(0x7_0005, "subsystem_7_reason_5");
    }
}
