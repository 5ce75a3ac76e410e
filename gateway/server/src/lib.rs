//! Connections, dispatch and handlers: the wire side of the gateway.
