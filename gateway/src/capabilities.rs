//! The rights of a process that an unprivileged user starts in a container. There, capabilities are
//! only a limit: what the program gets of them is written on its file (setcap), and a program that
//! it starts, such as `nft`, gets nothing.

use nix::unistd::geteuid;
use rustix::io;
use rustix::thread::{
    CapabilitySet, capabilities, configure_capability_in_ambient_set, no_new_privs,
    set_capabilities,
};

/// Makes what this process may have take effect, for it and the programs that it starts.
///
/// Only where `no_new_privs` is set: the process has then no more than the one that started it had,
/// and passes on no right that its user gained by starting it. To be called while the process has
/// one thread.
pub fn pass_on() {
    if let Err(error) = raise() {
        tracing::warn!(%error, "Programs that are started lack this process's capabilities");
    }
}

fn raise() -> io::Result<()> {
    if geteuid().is_root() || !no_new_privs()? {
        return Ok(());
    }
    let mut sets = capabilities(None)?;
    if sets.effective == sets.permitted && are_ambient(sets.permitted)? {
        return Ok(());
    }

    sets.effective = sets.permitted;
    sets.inheritable = sets.permitted;
    set_capabilities(None, sets)?;
    for capability in sets.permitted.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Whether all of `capabilities` are passed on already, as systemd has it.
fn are_ambient(capabilities: CapabilitySet) -> io::Result<bool> {
    for capability in capabilities.iter() {
        if !rustix::thread::capability_is_in_ambient_set(capability)? {
            return Ok(false);
        }
    }
    Ok(true)
}
