//! Every SQL statement of the workspace.
