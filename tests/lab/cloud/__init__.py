"""An honest AWS on one Linux machine: moto's API, with instances that are really there."""
