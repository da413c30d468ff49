//! Syslog frames (RFC 3164, RFC 5424) and HAProxy's other log formats.
