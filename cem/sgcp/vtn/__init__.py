"""The upper side of a domain: a VTN of OpenADR 3.1.0 as a pure request handler."""
