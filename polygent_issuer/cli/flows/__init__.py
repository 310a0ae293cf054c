"""Flows of commands, from their options to their report; several commands share most of them."""
