package main

import (
	"errors"
	"os"
)

var errorLog = os.Stderr

func (franz) admin(bootstrap, step string, arguments []string) ([]string, error) {
	return nil, errors.New("not yet")
}

func (saramaClient) admin(bootstrap, step string, arguments []string) ([]string, error) {
	return nil, errors.New("not yet")
}

func (segmentio) admin(bootstrap, step string, arguments []string) ([]string, error) {
	return nil, errors.New("this client has no step " + step)
}
