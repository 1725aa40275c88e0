//! Limits on the content of one cluster. An API server, or a user who may write Services, cannot
//! exhaust a gateway.

/// Names of all Services together.
pub const NAMES: usize = ringway_config::limits::KUBERNETES_NAMES;
/// Names of one Service.
pub const NAMES_OF_A_SERVICE: usize = 16;
/// Addresses of one name: what fits into a UDP response, and some more.
pub const ADDRESSES: usize = 64;
/// Addresses of all names together: a small part of what our zone may have.
pub const RECORDS: usize = 8000;
/// Bytes of an annotation that is read.
pub const ANNOTATION_BYTES: usize = 4096;
/// Objects, and endpoints in them, that are kept of one kind and namespace.
pub const WEIGHT: usize = 100_000;
/// Findings that are kept.
pub const FINDINGS: usize = 64;
/// Characters that a finding shows of a text of others.
pub const SHOWN: usize = 80;
