import { describe, expect, it } from 'vitest'
import { transferSyntaxOf } from './dicomweb'
import { parameters, singlePart } from './multipart'

const OUTER = 'multipart/related; type="application/octet-stream"; boundary="b-1"'

function answer(body: number[], end = '\r\n--b-1--\r\n'): ArrayBuffer {
  const head = new TextEncoder().encode(
    '--b-1\r\nContent-Type: image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90\r\n\r\n',
  )
  return Uint8Array.from([...head, ...body, ...new TextEncoder().encode(end)]).buffer
}

describe('singlePart', () => {
  it('gives the bytes between the header and the closing boundary', () => {
    const part = singlePart(OUTER, answer([1, 2, 13, 10, 13, 10, 3]))
    expect([...part.body]).toEqual([1, 2, 13, 10, 13, 10, 3])
    expect(transferSyntaxOf(part.contentType)).toBe('1.2.840.10008.1.2.4.90')
  })

  it('is not misled by pixels that look like a boundary', () => {
    const inner = [...new TextEncoder().encode('\r\n--b-1--x')]
    expect([...singlePart(OUTER, answer(inner)).body]).toEqual(inner)
  })

  it('refuses an answer that was cut short', () => {
    expect(() => singlePart(OUTER, answer([1, 2, 3], ''))).toThrow('closing boundary')
  })

  it('takes a body that is not multipart as it is', () => {
    expect([...singlePart('application/octet-stream', Uint8Array.from([7]).buffer).body]).toEqual([7])
  })
})

describe('parameters', () => {
  it('reads quoted and bare values', () => {
    const found = parameters('multipart/related; type="a/b"; Boundary=xyz')
    expect(found.get('type')).toBe('a/b')
    expect(found.get('boundary')).toBe('xyz')
  })
})

describe('transferSyntaxOf', () => {
  it('knows what a bare media type stands for, and does not guess otherwise', () => {
    expect(transferSyntaxOf('application/octet-stream')).toBe('1.2.840.10008.1.2.1')
    expect(transferSyntaxOf('video/mp4')).toBeNull()
  })
})
