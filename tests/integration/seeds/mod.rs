//! Deployments people describe, with real parts on both drivers.

mod gateways;
mod hosting;
mod routing;
mod sticky;
mod websockets;
